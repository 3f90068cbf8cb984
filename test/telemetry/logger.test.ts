import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { describe, expect, it, onTestFinished } from "vitest";
import { linesTo } from "../../src/telemetry/logger.ts";

function openOutput(path: string): number {
  const fd = openSync(path, "w");
  onTestFinished(() => closeSync(fd));
  return fd;
}

describe("the log", () => {
  it("writes one line per record, at once and whole", () => {
    const folder = mkdtempSync(join(tmpdir(), "aim-log-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const path = join(folder, "log");
    const logger = pino({}, linesTo(openOutput(path)));
    logger.info({ text: "é\n".repeat(100_000) }, "long");
    logger.info("short");
    const lines = readFileSync(path, "utf8").trimEnd().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual(["long", "short"]);
  });

  it.skipIf(process.platform !== "linux")("fails nobody when the disk is full", () => {
    const logger = pino({}, linesTo(openOutput("/dev/full")));
    expect(() => {
      logger.info("lost");
      logger.info("lost too");
      logger.flush();
    }).not.toThrow();
  });
});
