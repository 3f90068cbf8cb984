import { appendFile, mkdtemp, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../src/lib/clock.ts";
import { rotateInPlace } from "../../../src/runtime/log-file.ts";
import { openLog, readLog } from "../../../src/runtime/process/log.ts";
import { FakeClock } from "../../support/clock.ts";
import { until } from "../../support/until.ts";

const never = new AbortController().signal;

describe("the log of a process replica", () => {
  let dir: string;
  let path: string;
  let alive: boolean;
  const reader = { clock: systemClock, isAlive: () => Promise.resolve(alive) };

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "aim-log-"));
    path = join(dir, "r.log");
    alive = true;
  });
  afterEach(() => rm(dir, { recursive: true }));

  async function tail(count: number, since?: string): Promise<string[]> {
    const lines: string[] = [];
    const options = { follow: false, tail: count, ...(since === undefined ? {} : { since }) };
    for await (const line of readLog(path, options, reader, never)) lines.push(line.text);
    return lines;
  }

  function numbered(from: number, to: number): string[] {
    return Array.from({ length: to - from + 1 }, (_, index) => `line ${from + index}`);
  }

  describe("opened for a new start", () => {
    it("keeps what earlier starts wrote, but shows only the latest", async () => {
      await writeFile(path, "old\nunfinished");
      await (await openLog(path, new FakeClock())).close();
      expect(await tail(10)).toEqual([]);
      await appendFile(path, "new\n");
      expect(await tail(10)).toEqual(["new"]);
      expect(await readFile(path, "utf8")).toBe(
        "old\nunfinished\n=== started by aim-engine 2026-01-01T00:00:00.000Z\nnew\n",
      );
    });

    it("makes the directory", async () => {
      path = join(dir, "a", "b", "r.log");
      await (await openLog(path, systemClock)).close();
      expect(await tail(10)).toEqual([]);
    });
  });

  describe("its tail", () => {
    it("is empty for a log that is not there", async () => {
      expect(await tail(10)).toEqual([]);
    });

    it.each([0, 1, 3, 10])("has the last lines, the unfinished one included (%i)", async (count) => {
      await writeFile(path, "a\nb\nc\nd");
      expect(await tail(count)).toEqual(["a", "b", "c", "d"].slice(4 - Math.min(count, 4)));
    });

    it("is found in a file far larger than what is read of it", async () => {
      const lines = numbered(1, 200_000);
      await writeFile(path, `${lines.join("\n")}\n`);
      expect(await tail(3)).toEqual(lines.slice(-3));
      expect(await tail(20_000)).toEqual(lines.slice(-20_000));
    });

    it("is all there is when it has no end", async () => {
      const lines = numbered(1, 50_000);
      await writeFile(path, `older\n=== started by aim-engine x\n${lines.join("\n")}\n`);
      expect(await tail(Infinity)).toEqual(lines);
    });

    it("is empty when nothing was written since the time asked for, and whole otherwise", async () => {
      await writeFile(path, "a\nb\n");
      await utimes(path, 1000, 1000);
      expect(await tail(9, "1970-01-01T00:16:40Z")).toEqual([]);
      expect(await tail(9, "1970-01-01T00:16:39.999Z")).toEqual(["a", "b"]);
      await expect(tail(9, "yesterday")).rejects.toThrow(/"yesterday" is no time/);
    });

    it("never begins with half a line", async () => {
      await writeFile(path, `${"ä".repeat(3000)}\n`.repeat(2000));
      const lines = await tail(100_000);
      expect(lines.length).toBeGreaterThan(600);
      expect(new Set(lines)).toEqual(new Set(["ä".repeat(3000)]));
    });
  });

  describe("followed", () => {
    function follow(count: number, signal = never): { readonly lines: string[]; readonly ended: Promise<void> } {
      const lines: string[] = [];
      const read = async () => {
        for await (const line of readLog(path, { follow: true, tail: count }, reader, signal)) lines.push(line.text);
      };
      return { lines, ended: read() };
    }

    it("yields a line once it is whole, and all that is left when its writer is gone", async () => {
      await writeFile(path, "a\nb\nc");
      const { lines, ended } = follow(1);
      await until(() => lines.length > 0);
      expect(lines).toEqual(["b"]);
      await appendFile(path, "c\nd");
      await until(() => lines.length > 1);
      expect(lines).toEqual(["b", "cc"]);
      alive = false;
      await ended;
      expect(lines).toEqual(["b", "cc", "d"]);
    });

    it("ends at once when the signal aborts, whatever it waits for", async () => {
      await writeFile(path, "a\n");
      const abort = new AbortController();
      const { lines, ended } = follow(5, abort.signal);
      await until(() => lines.length > 0);
      abort.abort(new Error("enough"));
      await ended;
      expect(lines).toEqual(["a"]);
    });

    it("goes on when the log was rotated beneath it", async () => {
      await writeFile(path, `${numbered(1, 100).join("\n")}\n`);
      const { lines, ended } = follow(1);
      await until(() => lines.length > 0);
      await rotateInPlace(path, 10);
      await appendFile(path, "after\n");
      await until(() => lines.length > 1);
      alive = false;
      await ended;
      expect(lines).toEqual(["line 100", "after"]);
    });
  });

  describe("rotation", () => {
    it("does not shorten the tail", async () => {
      await writeFile(path, `${numbered(1, 5).join("\n")}\n`);
      await rotateInPlace(path, 10);
      await appendFile(path, "line 6\n");
      await rotateInPlace(path, 1);
      await appendFile(path, "line 7\n");
      expect(await tail(3)).toEqual(["line 5", "line 6", "line 7"]);
      expect(await tail(1)).toEqual(["line 7"]);
      expect(await tail(100)).toEqual(numbered(1, 7));
    });
  });
});
