// The operating system's processes, read from /proc: parsing, and reads that take "it is gone" for an answer.
import { codeOf } from "../../errors.ts";
import { readFileSync } from "node:fs";
import { access, readFile, readdir } from "node:fs/promises";
import { join } from "node:path";

export interface ProcessStat {
  readonly pid: number;
  /** One letter: R, S, D, T (stopped), t (traced), Z (zombie), ... */
  readonly state: string;
  readonly group: number;
  /** CPU time of the process and of its children that have ended. */
  readonly cpuTicks: number;
  /** Ticks from boot to its start: with the pid, an identity that is never reused. */
  readonly startTicks: number;
}

/** Ticks per second in everything /proc tells: fixed by Linux for user space, whatever the kernel's own. */
export const TICKS_PER_SECOND = 100;

const BATCH = 32;

/** Undefined when the text is no line of /proc/<pid>/stat. The name may hold blanks and parentheses: the last one ends it. */
export function parseStat(text: string): ProcessStat | undefined {
  const pid = Number.parseInt(text, 10);
  const [state = "", ...numbers] = text.slice(text.lastIndexOf(")") + 2).split(" ");
  // Fields as proc(5) numbers them; the first one after the name and the state is 4.
  const field = (number: number) => Number(numbers[number - 4]);
  const cpuTicks = field(14) + field(15) + field(16) + field(17);
  const stat = { pid, state, group: field(5), cpuTicks, startTicks: field(22) };
  const isWhole = [pid, stat.group, cpuTicks, stat.startTicks].every(Number.isInteger);
  return isWhole ? stat : undefined;
}

/** "NAME=value" entries, each ended by a NUL; those without a name are left out. */
export function parseEnviron(text: string): ReadonlyMap<string, string> {
  const entries = text.split("\0").map((entry) => [entry, entry.indexOf("=")] as const);
  return new Map(entries.filter(([, at]) => at > 0).map(([entry, at]) => [entry.slice(0, at), entry.slice(at + 1)]));
}

/** Whether it still runs: a zombie has ended and waits for its parent to take note. */
export function isLive(stat: ProcessStat | undefined): stat is ProcessStat {
  return stat !== undefined && stat.state !== "Z" && stat.state !== "X";
}

/** Where there is no /proc (macOS), every read answers undefined or nothing. */
export class ProcessTable {
  readonly #root: string;
  #bootTime: number | undefined;

  constructor(root = "/proc") {
    this.#root = root;
  }

  async isAvailable(): Promise<boolean> {
    return access(join(this.#root, "self", "stat")).then(
      () => true,
      () => false,
    );
  }

  async stat(pid: number): Promise<ProcessStat | undefined> {
    const text = await this.#read(pid, "stat");
    return text === undefined ? undefined : parseStat(text);
  }

  /**
   * Without a turn of the event loop in between: a child that was spawned just now cannot have been reaped before, so that
   * its entry is there.
   */
  statNow(pid: number): ProcessStat | undefined {
    try {
      return parseStat(readFileSync(join(this.#root, String(pid), "stat"), "latin1"));
    } catch (error) {
      return undefinedIfGone(error);
    }
  }

  /** Undefined for a process of someone else; empty for a zombie. */
  async environ(pid: number): Promise<ReadonlyMap<string, string> | undefined> {
    const text = await this.#read(pid, "environ");
    return text === undefined ? undefined : parseEnviron(text);
  }

  /** Every process but the kernel's own threads. */
  async all(): Promise<readonly ProcessStat[]> {
    const names = (await readdir(this.#root).catch(undefinedIfGone)) ?? [];
    const pids = names.filter((name) => /^\d+$/.test(name)).map(Number);
    const stats: (ProcessStat | undefined)[] = [];
    for (let from = 0; from < pids.length; from += BATCH) {
      // The kernel has them at hand, so that a read takes microseconds; through the thread pool it takes twelve times as long.
      stats.push(...pids.slice(from, from + BATCH).map((pid) => this.statNow(pid)));
      // Servers have thousands of processes, and requests must not wait for all of them.
      await new Promise((resolve) => setImmediate(resolve));
    }
    return stats.filter((stat) => stat !== undefined).filter((stat) => stat.group !== 0);
  }

  /** Memory that is resident, shared pages included. */
  async residentBytes(pid: number): Promise<number> {
    const status = await this.#read(pid, "status");
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status ?? "")?.[1] ?? 0) * 1024;
  }

  /** When it started, in milliseconds since the Unix epoch. */
  async startedAt(stat: ProcessStat): Promise<number> {
    this.#bootTime ??= await this.#readBootTime();
    return this.#bootTime + (stat.startTicks / TICKS_PER_SECOND) * 1000;
  }

  async #readBootTime(): Promise<number> {
    const text = await readFile(join(this.#root, "stat"), "latin1");
    return Number(/^btime (\d+)$/m.exec(text)?.[1] ?? 0) * 1000;
  }

  async #read(pid: number, file: string): Promise<string | undefined> {
    return readFile(join(this.#root, String(pid), file), "utf8").catch(undefinedIfGone);
  }
}

/** One read after the other takes thrice as long; all at once would need a file descriptor each. */
export async function inBatches<T, R>(items: readonly T[], read: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let from = 0; from < items.length; from += BATCH) {
    results.push(...(await Promise.all(items.slice(from, from + BATCH).map(read))));
  }
  return results;
}

/** Ended meanwhile, or not ours to look at. */
function undefinedIfGone(error: unknown): undefined {
  if (["ENOENT", "ESRCH", "EACCES", "EPERM"].includes(codeOf(error) ?? "")) return undefined;
  throw error;
}
