import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { describe, expect, it, onTestFinished } from "vitest";
import { gathered, linesTo } from "../../src/telemetry/logger.ts";

function openFile(path: string, flags: string | number): number {
  const fd = openSync(path, flags);
  onTestFinished(() => closeSync(fd));
  return fd;
}

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "aim-log-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** What lies in a pipe. */
function drain(fd: number): string {
  const bytes = Buffer.alloc(1024 * 1024);
  return bytes.toString("utf8", 0, readSync(fd, bytes));
}

describe("the log", () => {
  it("writes one line per record, at once and whole", () => {
    const path = join(makeFolder(), "log");
    const logger = pino({}, linesTo(openFile(path, "w")));
    logger.info({ text: "é\n".repeat(100_000) }, "long");
    logger.info("short");
    const lines = readFileSync(path, "utf8").trimEnd().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual(["long", "short"]);
  });

  it.skipIf(process.platform !== "linux")("fails nobody when the disk is full", () => {
    const logger = pino({}, linesTo(openFile("/dev/full", "w")));
    expect(() => {
      logger.info("lost");
      logger.info("lost too");
      logger.flush();
    }).not.toThrow();
  });

  it.skipIf(process.platform === "win32")("loses lines while nobody reads, and goes on with a whole one", () => {
    const path = join(makeFolder(), "pipe");
    execFileSync("mkfifo", [path]);
    const reader = openFile(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const output = linesTo(openFile(path, constants.O_WRONLY | constants.O_NONBLOCK));
    const startedAt = performance.now();
    for (let line = 0; line < 1_000; line++) output.write(`${"x".repeat(9_999)}\n`);
    expect(performance.now() - startedAt).toBeLessThan(1_000);
    expect(drain(reader)).toMatch(/^(x{9999}\n)+x+$/);
    output.write("next\n");
    expect(drain(reader)).toBe("\nnext\n");
  });

  it("writes the lines of one turn together, and a warning at once with those before it", async () => {
    const written: string[] = [];
    const logger = pino({}, gathered({ write: (lines) => void written.push(lines) }));
    logger.info("one");
    logger.info("two");
    expect(written).toEqual([]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(written.map((lines) => lines.split("\n").length - 1)).toEqual([2]);
    logger.info("three");
    logger.warn("four");
    expect(written.map((lines) => lines.split("\n").length - 1)).toEqual([2, 2]);
  });
});
