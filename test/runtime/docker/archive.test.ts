// What is kept of containers' output, with an origin that a test writes, cuts and repeats as it likes.
import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AimError } from "../../../src/errors.ts";
import { Archive, type ArchiveOrigin, type Source } from "../../../src/runtime/docker/archive.ts";
import type { BackendRef, LogLine, LogOptions } from "../../../src/runtime/driver.ts";
import { MAX_LINE_LENGTH } from "../../../src/runtime/process/lines.ts";
import { pino } from "pino";
import { systemClock } from "../../../src/lib/clock.ts";
import { until } from "../../support/until.ts";

const never = new AbortController().signal;
const ALL: LogOptions = { follow: false, tail: Infinity };

/** One container that prints. Like Docker it tells everything from the second of `since` on. */
class Printer {
  readonly lines: LogLine[] = [];
  readonly opened: (string | undefined)[] = [];
  followers = 0;
  mostFollowers = 0;
  isRunning = true;
  /** Fails every request while it is set, and ends the streams that are open. */
  fault: AimError | undefined;
  /** How many lines the next stream tells before it loses its place, as those of old engines do. */
  stuckAt = Infinity;

  print(...texts: readonly string[]): void {
    for (const text of texts) this.lines.push({ text, stream: "stdout", time: timeOf(this.lines.length) });
  }

  readonly origin: ArchiveOrigin = {
    follow: (_ref, since, signal) => this.#follow(since, signal),
    isRunning: async () => this.isRunning,
  };

  async *#follow(since: string | undefined, signal: AbortSignal): AsyncGenerator<readonly LogLine[]> {
    this.#failIfAway();
    this.opened.push(since);
    this.followers += 1;
    this.mostFollowers = Math.max(this.mostFollowers, this.followers);
    const end = this.stuckAt;
    this.stuckAt = Infinity;
    try {
      for (let next = 0; !signal.aborted;) {
        const batch = this.lines.slice(next, end);
        next = this.lines.length;
        if (batch.length > 0) yield batch;
        else if (!this.isRunning) return;
        else this.#failIfAway();
        await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      this.followers -= 1;
    }
  }

  #failIfAway(): void {
    if (this.fault !== undefined) throw this.fault;
  }
}

/** Two lines of each time, as the pieces of a progress bar have. */
function timeOf(index: number): string {
  return `2026-01-01T00:00:${String(Math.floor(index / 2)).padStart(2, "0")}.000000000Z`;
}

describe("the archive of containers' output", () => {
  let logDir: string;
  let printer: Printer;
  let warnings: unknown[];
  const archives: Archive[] = [];
  const REF: BackendRef = { id: "c1", name: "mine-r" };
  const SOURCE: Source = { ref: REF, replica: "r", startedAt: 1 };

  beforeEach(async () => {
    logDir = await mkdtemp(join(tmpdir(), "aim-archive-"));
    printer = new Printer();
    warnings = [];
  });
  afterEach(async () => {
    await Promise.all(archives.splice(0).map((archive) => archive.close()));
    await rm(logDir, { recursive: true, force: true });
  });

  function makeArchive(options: { readonly maxBytes?: number; readonly logDir?: string } = {}): Archive {
    const logger = pino({ level: "warn" }, { write: (line) => void warnings.push(JSON.parse(line)) });
    const deps = { logDir, installation: "mine", origin: printer.origin, clock: systemClock, logger, ...options };
    const archive = new Archive(deps);
    archives.push(archive);
    return archive;
  }

  async function kept(archive: Archive, options = ALL, ref = REF): Promise<string[]> {
    const texts: string[] = [];
    for await (const { text } of archive.read(ref, options, never)) texts.push(text);
    return texts;
  }

  const untilKept = (archive: Archive, count: number) =>
    until(async () => (await kept(archive)).length >= count, { what: `${count} lines` });

  function numbered(from: number, to: number): string[] {
    return Array.from({ length: to - from + 1 }, (_, index) => `line ${from + index}`);
  }

  it("keeps lines with their stream and time, as log shippers know them", async () => {
    const archive = makeArchive();
    printer.lines.push({ text: "oops 1", stream: "stderr", time: timeOf(0) });
    archive.follow(SOURCE);
    await untilKept(archive, 1);
    const [started, line] = (await readFile(join(logDir, "r.log"), "utf8")).split("\n");
    expect(started).toMatch(/^=== started by aim-engine \S+ container c1$/);
    expect(line).toBe("2026-01-01T00:00:00.000000000Z stderr F oops 1");
    const read: LogLine[] = [];
    for await (const line of archive.read(REF, ALL, never)) read.push(line);
    expect(read[0]).toEqual({ text: "oops 1", stream: "stderr", time: timeOf(0) });
  });

  it("gives the longest line back whole", async () => {
    const archive = makeArchive();
    const longest = "x".repeat(MAX_LINE_LENGTH - 1) + "y";
    printer.print(longest, "short");
    archive.follow(SOURCE);
    await untilKept(archive, 2);
    expect(await kept(archive)).toEqual([longest, "short"]);
  });

  it("goes on where it was after a restart, with neither loss nor repetition", async () => {
    const first = makeArchive();
    // An odd number, so that the restart falls between two lines of one time.
    printer.print(...numbered(1, 5));
    first.follow(SOURCE);
    await untilKept(first, 5);
    await first.close();
    printer.print(...numbered(6, 9));
    const second = makeArchive();
    second.follow(SOURCE);
    await untilKept(second, 9);
    expect(await kept(second)).toEqual(numbered(1, 9));
    expect(printer.opened).toEqual([undefined, timeOf(4)]);
  });

  it("fetches again what a crash left half written", async () => {
    const first = makeArchive();
    printer.print(...numbered(1, 4));
    first.follow(SOURCE);
    await untilKept(first, 4);
    await first.close();
    printer.print("line 5");
    await appendFile(join(logDir, "r.log"), `${timeOf(4)} stdout F li`);
    const second = makeArchive();
    second.follow(SOURCE);
    await untilKept(second, 5);
    expect(await kept(second)).toEqual(numbered(1, 5));
  });

  it("survives that Docker is away, and follows a container once at a time", async () => {
    const archive = makeArchive();
    printer.print(...numbered(1, 2));
    archive.follow(SOURCE);
    archive.watch([SOURCE, SOURCE]);
    await untilKept(archive, 2);
    printer.fault = new AimError("runtime_unavailable", "Docker is away");
    await until(() => printer.followers === 0);
    printer.print(...numbered(3, 4));
    archive.watch([SOURCE]);
    printer.fault = undefined;
    await untilKept(archive, 4);
    expect(await kept(archive)).toEqual(numbered(1, 4));
    expect(printer.mostFollowers).toBe(1);
    expect(warnings).toEqual([]);
  });

  it("goes on across its files, and a restart with them", async () => {
    const first = makeArchive({ maxBytes: 400 });
    first.follow(SOURCE);
    for (let count = 1; count <= 20; count++) {
      printer.print(`line ${count}`);
      await until(async () => (await kept(first)).at(-1) === `line ${count}`);
    }
    await first.close();
    printer.print("line 21");
    const second = makeArchive({ maxBytes: 400 });
    second.follow(SOURCE);
    await until(async () => (await kept(second)).at(-1) === "line 21");
    const lines = await kept(second);
    expect(lines.length).toBeGreaterThan(10);
    expect(lines).toEqual(numbered(1, 21).slice(-lines.length));
  });

  it("keeps the last words of a container before it is removed, and then no more", async () => {
    const archive = makeArchive();
    archive.follow({ ref: REF, replica: "r" });
    printer.print(...numbered(1, 3));
    printer.isRunning = false;
    await archive.drain(SOURCE, never);
    expect(await kept(archive)).toEqual(numbered(1, 3));
    await archive.drain(SOURCE, never);
    expect(printer.mostFollowers).toBe(1);
    expect(await kept(archive)).toEqual(numbered(1, 3));
  });

  it("lets a container go after two seconds, whatever it still has to say", async () => {
    const archive = makeArchive();
    const startedAt = performance.now();
    await archive.drain(SOURCE, never);
    expect(performance.now() - startedAt).toBeGreaterThan(1900);
    expect(performance.now() - startedAt).toBeLessThan(4000);
  });

  it("follows a container again that was started again", async () => {
    const archive = makeArchive();
    printer.print("line 1");
    printer.isRunning = false;
    await archive.drain(SOURCE, never);
    const before = printer.opened.length;
    archive.watch([SOURCE]);
    expect(printer.opened).toHaveLength(before);
    printer.print("line 2");
    archive.watch([{ ...SOURCE, startedAt: 2 }]);
    await untilKept(archive, 2);
    expect(await kept(archive)).toEqual(numbered(1, 2));
  });

  it("sets a later container of that name apart, and shows its lines alone", async () => {
    const archive = makeArchive();
    printer.print("of the first");
    printer.isRunning = false;
    await archive.drain(SOURCE, never);
    printer.lines.splice(0);
    printer.print("of the second");
    const second = { ref: { id: "c2", name: "mine-r" }, replica: "r", startedAt: 1 };
    await archive.drain(second, never);
    expect(await kept(archive)).toEqual(["of the second"]);
    expect(await readFile(join(logDir, "r.log"), "utf8")).toContain("of the first");
  });

  it("shows as much of the end as is asked for, and what was written after a time", async () => {
    const archive = makeArchive();
    printer.print(...numbered(1, 6));
    printer.isRunning = false;
    await archive.drain(SOURCE, never);
    expect(await kept(archive, { ...ALL, tail: 2 })).toEqual(numbered(5, 6));
    expect(await kept(archive, { ...ALL, tail: 0 })).toEqual([]);
    expect(await kept(archive, { follow: true, tail: 1 })).toEqual(["line 6"]);
    expect(await kept(archive, { ...ALL, since: timeOf(1) })).toEqual(numbered(3, 6));
    expect(await kept(archive, ALL, { id: "x", name: "mine-other" })).toEqual([]);
    expect(await kept(archive, ALL, { id: "x", name: "mine-../../etc/passwd" })).toEqual([]);
  });

  it("keeps lines with separators that end no line", async () => {
    const first = makeArchive();
    const texts = ["one\u2028two", "three\u2029four"];
    printer.print(...texts);
    first.follow(SOURCE);
    await until(async () => (await readFile(join(logDir, "r.log"), "utf8").catch(() => "")).includes("four"));
    await first.close();
    const second = makeArchive();
    printer.isRunning = false;
    await second.drain(SOURCE, never);
    expect(await kept(second)).toEqual(texts);
    expect((await readFile(join(logDir, "r.log"), "utf8")).match(/four/g)).toHaveLength(1);
  });

  it("reads on where a stream ended before all was told", async () => {
    const archive = makeArchive();
    printer.print(...numbered(1, 9));
    printer.isRunning = false;
    printer.stuckAt = 4;
    await archive.drain(SOURCE, never);
    expect(await kept(archive)).toEqual(numbered(1, 9));
  });

  it("fails nobody where it cannot write: warns once, and keeps all when it can", async () => {
    const blocked = join(logDir, "blocked");
    await writeFile(blocked, "a file where the folder should be");
    const archive = makeArchive({ logDir: blocked });
    printer.print(...numbered(1, 3));
    archive.follow(SOURCE);
    archive.follow({ ref: { id: "c2", name: "mine-s" }, replica: "s" });
    await until(() => warnings.length > 0);
    await rm(blocked);
    await untilKept(archive, 3);
    expect(await kept(archive)).toEqual(numbered(1, 3));
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatchObject({ logDir: blocked, msg: expect.stringContaining("disk is full") });
  });

  it("names no file after a label that somebody made up", async () => {
    const archive = makeArchive();
    archive.follow({ ...SOURCE, replica: "../outside" });
    await archive.drain({ ...SOURCE, replica: "" }, never);
    expect(printer.opened).toEqual([]);
  });

  it("ends with a container that is gone", async () => {
    const archive = makeArchive();
    printer.fault = new AimError("runtime_failed", "no such container", { data: { status: 404 } });
    await archive.drain(SOURCE, never);
    expect(await kept(archive)).toEqual([]);
  });
});
