// Processes of a benchmark: started on a processor of their own, found again, and ended with it whatever happens.
import { spawn, type ChildProcess } from "node:child_process";
import { openSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createServer } from "node:net";
import { sleep, systemClock as clock } from "../../src/lib/clock.ts";

export interface Pinned {
  readonly argv: readonly string[];
  /** Processors as `taskset -c` takes them. */
  readonly cpus: string;
  /** Whether it comes before all others of a busy machine, with whatever it starts. */
  readonly realtime: boolean;
  /** Where its output goes. */
  readonly log: string;
  readonly env?: Readonly<Record<string, string>>;
}

const groups = new Set<number>();
const START_MS = 20_000;
const END_MS = 5_000;

// Each is the first of a group of its own, so that no signal for us reaches it by itself.
process.on("exit", () => {
  for (const group of groups) signalGroup(group, "SIGKILL");
});

/** Starts a program as the first of a process group. */
export function startPinned({ argv, cpus, realtime, log, env = {} }: Pinned): ChildProcess {
  const output = openSync(log, "a");
  const { PATH = "", HOME = "/" } = process.env;
  const [program = "", ...rest] = [...(realtime ? ["chrt", "--rr", "1"] : []), "taskset", "-c", cpus, ...argv];
  const child = spawn(program, rest, {
    detached: true,
    stdio: ["ignore", output, output],
    env: { PATH, HOME, ...env },
  });
  // What could not be started has no pid, which whoever waits for it sees.
  child.on("error", () => undefined);
  if (child.pid === undefined) return child;
  groups.add(child.pid);
  return child;
}

/** Runs a program to its end; resolves with its exit code. */
export async function runPinned(pinned: Pinned): Promise<number | null> {
  const child = startPinned(pinned);
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  if (child.pid !== undefined) groups.delete(child.pid);
  return code;
}

/** Asks the group to end, and sees to it. */
export async function endGroup(child: ChildProcess): Promise<void> {
  const { pid } = child;
  if (pid === undefined) return;
  child.kill("SIGTERM");
  await waitFor(() => pidsOfGroup(pid).length === 0, END_MS);
  signalGroup(pid, "SIGKILL");
  await waitFor(() => pidsOfGroup(pid).length === 0, END_MS);
  groups.delete(pid);
}

/** A program that was started here, with all processes that it has started in its group. */
export function groupOf({ pid }: ChildProcess): number[] {
  return pid === undefined ? [] : pidsOfGroup(pid);
}

function pidsOfGroup(group: number): number[] {
  return allPids().filter((pid) => {
    // "pid (name) state ppid pgrp ...", where the name may hold anything.
    const [state, , pgrp] = (readProc(pid, "stat").split(") ").at(-1) ?? "").split(" ");
    return Number(pgrp) === group && state !== "Z";
  });
}

/** The processes that run a program. */
export function pidsOfProgram(path: string): number[] {
  return allPids().filter((pid) => readProc(pid, "cmdline").startsWith(`${path}\0`));
}

/** A port of 127.0.0.1 that nobody listens on, on any address. */
export async function freePort(): Promise<number> {
  for (;;) {
    const server = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const address = server.address();
    await new Promise((resolve) => server.close(resolve));
    if (typeof address === "object" && address !== null && listeners(address.port).length === 0) return address.port;
  }
}

/**
 * Waits until somebody listens on the port, and sees to it that it is these processes alone: with SO_REUSEPORT a
 * forgotten one would silently take a share of the connections.
 */
export async function awaitListening(port: number, child: ChildProcess): Promise<void> {
  const name = child.spawnargs
    .slice(child.spawnargs.indexOf("-c") + 2)
    .slice(0, 2)
    .join(" ");
  const isThere = await waitFor(() => listeners(port).length > 0 || child.exitCode !== null, START_MS);
  if (!isThere || child.exitCode !== null) throw new Error(`${name} does not listen on port ${port}`);
  const own = new Set(groupOf(child).flatMap(socketsOf));
  if (!listeners(port).every((inode) => own.has(inode))) throw new Error(`somebody else listens on port ${port}, too`);
}

/** Whether it became true in time. */
export async function waitFor(isSo: () => boolean, timeoutMs: number): Promise<boolean> {
  for (const until = clock.now() + timeoutMs; clock.now() < until; await sleep(clock, 20)) if (isSo()) return true;
  return isSo();
}

/** Resident memory of these processes, in MB. */
export function residentMb(pids: readonly number[]): number {
  const kb = pids.map((pid) => Number(/^VmRSS:\s+(\d+)/m.exec(readProc(pid, "status"))?.[1] ?? 0));
  return kb.reduce((sum, each) => sum + each, 0) / 1024;
}

/** Inodes of the sockets that listen on a port. */
function listeners(port: number): string[] {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const lines = ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((path) => readFileSync(path, "utf8").split("\n"));
  const cells = lines.map((line) => line.trim().split(/\s+/));
  const LISTEN = "0A";
  return cells
    .filter(([, at, , state]) => at?.endsWith(local) === true && state === LISTEN)
    .map((line) => line[9] ?? "");
}

function socketsOf(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).flatMap((fd) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(`${folder}/${fd}`))?.[1] ?? [];
    } catch {
      // Closed since the folder was read.
      return [];
    }
  });
}

function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch {
    // All of it is gone already.
  }
}

function allPids(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    // It has ended meanwhile.
    return "";
  }
}
