import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  canBeLogged,
  deleteLog,
  deleteOldLogs,
  logPath,
  LogWriter,
  rotateInPlace,
} from "../../src/runtime/log-file.ts";
import { FakeClock } from "../support/clock.ts";

const DAY_S = 24 * 60 * 60;

describe("the log files of replicas", () => {
  let dir: string;
  let path: string;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "aim-log-"));
    path = join(dir, "r.log");
  });
  afterEach(() => rm(dir, { recursive: true }));

  const contents = (suffix = "") => readFile(`${path}${suffix}`, "utf8");

  it("are named after replicas, and never lead elsewhere", () => {
    expect(logPath("/logs", "qwen3-32b-1")).toBe("/logs/qwen3-32b-1.log");
    for (const name of ["", "../x", "a/b", ".hidden", "A", "a\0"]) expect(canBeLogged(name)).toBe(false);
  });

  describe("that others write, rotated in place", () => {
    it("stay as they are while they are small, or not there", async () => {
      await rotateInPlace(path, 10);
      await writeFile(path, "0123456789");
      await rotateInPlace(path, 10);
      expect(await contents()).toBe("0123456789");
    });

    it("are kept three at a time, and their writer goes on at the new end", async () => {
      const writer = await open(path, "a");
      for (const text of ["first file\n", "second file\n", "third file\n"]) {
        await writer.write(text);
        await rotateInPlace(path, 5);
      }
      await writer.write("fourth\n");
      await writer.close();
      expect((await stat(path)).size).toBe(7);
      expect([await contents(".1"), await contents(".2")]).toEqual(["third file\n", "second file\n"]);
      expect((await readdir(dir)).length).toBe(3);
    });
  });

  it.skipIf(process.getuid?.() !== 0)("that others write are emptied also where the disk is full", async () => {
    const full = join(dir, "full");
    await mkdir(full);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "aim-full", full]);
    try {
      path = join(full, "r.log");
      await writeFile(path, "x".repeat(40_000));
      await rotateInPlace(path, 5);
      expect((await stat(path)).size).toBe(0);
      expect(await readdir(full)).toEqual(["r.log"]);
    } finally {
      execFileSync("umount", [full]);
    }
  });

  describe("that are written here", () => {
    const options = { maxBytes: 30, continued: "=== continued" };

    it("begin with a mark where they go on, and are kept three at a time", async () => {
      const writer = await LogWriter.open(path, options);
      for (let count = 1; count <= 9; count++) await writer.append(`line ${count}\n`);
      await writer.close();
      expect(await contents(".2")).toBe("=== continued\nline 5\nline 6\n");
      expect(await contents(".1")).toBe("=== continued\nline 7\nline 8\n");
      expect(await contents()).toBe("=== continued\nline 9\n");
    });

    it.each([
      ["whole\nhalf", "whole\n"],
      ["half", ""],
      ["", ""],
    ])("are mended where a crash left %j", async (left, mended) => {
      await writeFile(path, left);
      const writer = await LogWriter.open(path, options);
      await writer.append("new\n");
      await writer.close();
      expect(await contents()).toBe(`${mended}new\n`);
    });

    it("are mended also when the half line is long", async () => {
      await writeFile(path, `whole\n${"x".repeat(100_000)}`);
      await (await LogWriter.open(path, options)).close();
      expect(await contents()).toBe("whole\n");
    });
  });

  it("are deleted when nothing was written for a week, unless their replica lives", async () => {
    const clock = new FakeClock();
    const now = clock.wallNow() / 1000;
    const ages = { old: 8, "old-but-live": 8, young: 6 };
    for (const [name, days] of Object.entries(ages)) {
      for (const suffix of ["", ".1", ".2"]) {
        await writeFile(join(dir, `${name}.log${suffix}`), "x");
        // Older ones are as old as their last line: the newest decides.
        await utimes(join(dir, `${name}.log${suffix}`), now, now - (days + (suffix === "" ? 0 : 90)) * DAY_S);
      }
    }
    await writeFile(join(dir, "not-ours.txt"), "x");
    await utimes(join(dir, "not-ours.txt"), now, now - 99 * DAY_S);
    await deleteOldLogs(dir, new Set(["old-but-live"]), clock);
    const kept = ["old-but-live.log", "old-but-live.log.1", "old-but-live.log.2", "young.log", "young.log.1"];
    expect((await readdir(dir)).sort()).toEqual(["not-ours.txt", ...kept, "young.log.2"]);
    await deleteOldLogs(join(dir, "not", "there"), new Set(), clock);
  });

  it("are deleted all together, which says whether there were any", async () => {
    await writeFile(path, "x");
    await writeFile(`${path}.2`, "x");
    expect(await deleteLog(dir, "r")).toBe(true);
    expect(await deleteLog(dir, "r")).toBe(false);
    expect(await deleteLog(dir, "../r")).toBe(false);
    expect(await readdir(dir)).toEqual([]);
  });
});
