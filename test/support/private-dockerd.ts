// A Docker Engine of a test's own, to kill, freeze, restart and fill up without touching the one that everybody shares.
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, open, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import Docker from "dockerode";
import { describe } from "vitest";
import { describeWithDocker } from "./docker.ts";
import { until } from "./until.ts";

const run = promisify(execFile);
const START_MS = 20_000;
const STOP_MS = 20_000;

export interface PrivateDockerdOptions {
  /** Where images and containers are kept; a folder that is deleted in the end unless given. */
  readonly dataRoot?: string;
  /** Further arguments of dockerd: "--live-restore". */
  readonly args?: readonly string[];
}

export interface PrivateDockerd {
  readonly socketPath: string;
  readonly docker: Docker;
  /** Of the daemon that runs now. */
  readonly pid: number;
  /** SIGSTOP and SIGCONT return at once; after any other signal it waits for the end. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Ends it where it runs, and starts it again on what it left. */
  restart(args?: readonly string[]): Promise<void>;
  /** Removes its containers, ends it, and cleans up after it. Idempotent. */
  stop(): Promise<void>;
}

/** Why none can be started here; undefined when it can. Needs root, and dockerd in the PATH. */
export async function privateDockerdProblem(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "only root can start dockerd";
  return run("dockerd", ["--version"]).then(
    () => undefined,
    (error: unknown) => `dockerd cannot be run: ${String(error)}`,
  );
}

/** A suite that needs one. Without it the suite says that it did not run; where CI is set the file fails instead. */
export async function describeWithPrivateDockerd(name: string, body: () => void): Promise<void> {
  const problem = await privateDockerdProblem();
  if (problem === undefined) return describeWithDocker(name, body);
  const text = `${name} needs a Docker Engine of its own, which cannot be had here: ${problem}`;
  if (process.env["CI"] !== undefined) throw new Error(text);
  process.stderr.write(`\nNOT RUN: ${text}\n`);
  const suite = describe.skip;
  suite(`${name} (NOT RUN: no private Docker Engine)`, body);
}

/** Gives it an image that the shared engine has. */
export async function copyImage(image: string, to: PrivateDockerd): Promise<void> {
  const answer = await to.docker.loadImage(await new Docker().getImage(image).get());
  let said = "";
  for await (const chunk of answer) said += String(chunk);
  if (!said.includes("Loaded image")) throw new Error(`cannot copy ${image}: ${said}`);
}

/** Resolves when it answers. */
export async function startPrivateDockerd(options: PrivateDockerdOptions = {}): Promise<PrivateDockerd> {
  const folder = await mkdtemp(join(tmpdir(), "aim-dockerd-"));
  const paths = {
    socket: join(folder, "docker.sock"),
    pidFile: join(folder, "docker.pid"),
    execRoot: join(folder, "exec"),
    dataRoot: options.dataRoot ?? join(folder, "data"),
    log: join(folder, "dockerd.log"),
  };
  const docker = new Docker({ socketPath: paths.socket });
  // Its own, always: a daemon that is told to have none deletes docker0, which is the shared daemon's.
  const bridge = await addBridge();
  // Not iptables: its rules are the shared daemon's.
  const fixed = [`--host=unix://${paths.socket}`, `--pidfile=${paths.pidFile}`, `--exec-root=${paths.execRoot}`];
  fixed.push(`--data-root=${paths.dataRoot}`, "--iptables=false", "--ip-masq=false", `--bridge=${bridge}`);
  await mkdir(paths.dataRoot, { recursive: true });
  let child: ChildProcess | undefined;
  let stopped: Promise<void> | undefined;

  async function start(args: readonly string[]): Promise<void> {
    // What was killed leaves these behind, and they would keep the next one from starting.
    await rm(paths.pidFile, { force: true });
    await buryContainerd(join(paths.execRoot, "containerd/containerd.pid"));
    const log = await open(paths.log, "a");
    const started = spawn("dockerd", [...fixed, ...args], { stdio: ["ignore", log.fd, log.fd] });
    await log.close();
    child = started;
    const answers = () =>
      started.exitCode !== null ||
      docker.ping().then(
        () => true,
        () => false,
      );
    await until(answers, { timeoutMs: START_MS, what: "a private dockerd" });
    if (started.exitCode !== null)
      throw new Error(`dockerd ended: ${(await readFile(paths.log, "utf8")).slice(-2000)}`);
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    const ending = child;
    if (ending === undefined || hasEnded(ending)) return;
    // A frozen one would not hear of anything milder.
    ending.kill("SIGCONT");
    ending.kill(signal);
    const limit = AbortSignal.timeout(STOP_MS);
    await once(ending, "exit", { signal: limit }).catch(async () => {
      ending.kill("SIGKILL");
      if (!hasEnded(ending)) await once(ending, "exit");
    });
  }

  async function stop(): Promise<void> {
    child?.kill("SIGCONT");
    // One that was killed comes back once more: its containers outlive it, and nobody else can end them. Where it cannot, or
    // never could, what is left to do is below.
    if (child === undefined || hasEnded(child)) await start([]).catch(() => undefined);
    await removeContainers(docker).catch(() => undefined);
    await end("SIGTERM");
    await endRemains(folder);
    await unmountAll(folder);
    if (options.dataRoot !== undefined) await unmountAll(options.dataRoot, { below: true });
    await run("ip", ["link", "delete", bridge]);
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }

  try {
    await start(options.args ?? []);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    socketPath: paths.socket,
    docker,
    get pid() {
      return child?.pid ?? 0;
    },
    async kill(signal) {
      if (signal === "SIGSTOP" || signal === "SIGCONT") child?.kill(signal);
      else await end(signal);
    },
    async restart(args = options.args ?? []) {
      await end("SIGTERM");
      await start(args);
    },
    stop: () => (stopped ??= stop()),
  };
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** It ends with its daemon; as long as nobody has taken note of its end, the next daemon would take it for alive. */
async function buryContainerd(pidFile: string): Promise<void> {
  const pid = await readFile(pidFile, "utf8").catch(() => undefined);
  if (pid === undefined) return;
  await until(async () => !(await isRunning(Number(pid))), { what: "the end of a private containerd" });
  await rm(pidFile);
}

/** Of a name and a network that nothing else on this machine has. */
async function addBridge(): Promise<string> {
  for (let number = (process.pid % 200) + 20; ; number = (number + 1) % 256) {
    const name = `aimtest${number}`;
    const isNew = await run("ip", ["link", "add", name, "type", "bridge"]).then(
      () => true,
      (error: unknown) => {
        if (String(error).includes("File exists")) return false;
        throw error;
      },
    );
    if (!isNew) continue;
    await run("ip", ["address", "add", `10.199.${number}.1/24`, "dev", name]);
    await run("ip", ["link", "set", name, "up"]);
    return name;
  }
}

async function removeContainers(docker: Docker): Promise<void> {
  const containers = await docker.listContainers({ all: true });
  await Promise.all(containers.map(({ Id }) => docker.getContainer(Id).remove({ force: true, v: true })));
}

/** Its containerd and what that started outlive a daemon that was killed; they are known by the folder they were given. */
async function endRemains(folder: string): Promise<void> {
  const remains = async () => {
    const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
    const found = await Promise.all(pids.map((pid) => isRemains(Number(pid), folder)));
    return pids.map(Number).filter((_, index) => found[index]);
  };
  await until(
    async () => {
      const left = await remains();
      for (const pid of left) killIfThere(pid);
      return left.length === 0;
    },
    { timeoutMs: STOP_MS, what: "the end of what a private dockerd started" },
  );
}

async function isRemains(pid: number, folder: string): Promise<boolean> {
  return (await procFile(pid, "cmdline")).includes(folder) && (await isRunning(pid));
}

async function isRunning(pid: number): Promise<boolean> {
  const state = await procFile(pid, "stat");
  return state !== "" && !/\) [ZX] /.test(state);
}

/** Empty where the process has ended meanwhile. */
function procFile(pid: number, file: string): Promise<string> {
  return readFile(`/proc/${pid}/${file}`, "latin1").catch(() => "");
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

async function unmountAll(folder: string, { below = false } = {}): Promise<void> {
  const mounts = (await readFile("/proc/self/mounts", "utf8")).split("\n").map((line) => line.split(" ")[1] ?? "");
  const ours = mounts.filter((path) => path.startsWith(`${folder}/`) || (!below && path === folder));
  for (const path of ours.reverse()) await run("umount", ["--lazy", path]);
}
