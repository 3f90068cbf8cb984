// What is peculiar to the process runtime; what it shares with all drivers is in test/contract.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LABELS, type LaunchSpec } from "../../../src/catalog/launch-spec.ts";
import type { BackendRef, Gpu, ObservedReplica } from "../../../src/runtime/driver.ts";
import type { ProcessDriver, ProcessDriverOptions } from "../../../src/runtime/process/driver.ts";
import { pidOf } from "../../../src/runtime/process/replicas.ts";
import { isLive, ProcessTable } from "../../../src/runtime/process/table.ts";
import { makeProcessRig, type ProcessRig } from "../../support/process-rig.ts";
import { until } from "../../support/until.ts";

const never = new AbortController().signal;
const NOW = { graceMs: 5000, reason: "the test is over" };
const GATEWAY = new URL("../../fixtures/process-gateway.ts", import.meta.url).pathname;
const SCRIPT = new URL(import.meta.url).pathname;
const table = new ProcessTable();

/** argv of a tiny program instead of the sim engine. */
function script(code: string, ...args: readonly string[]): readonly string[] {
  return [process.execPath, "-e", code, ...args];
}

const IDLE = script("setInterval(() => {}, 1000)");

describe("the process runtime", () => {
  let logDir: string;
  let rig: ProcessRig;
  let drivers: ProcessDriver[];

  beforeEach(async () => {
    logDir = await mkdtemp(join(tmpdir(), "aim-process-"));
    rig = makeProcessRig({ logDir });
    drivers = [];
  });
  afterEach(async () => {
    await Promise.all(drivers.map((driver) => driver.close()));
    await rig.endAll();
    await rm(logDir, { recursive: true, force: true });
  });

  function makeDriver(options?: Partial<ProcessDriverOptions>): ProcessDriver {
    const driver = rig.makeDriver(options);
    drivers.push(driver);
    return driver;
  }

  function start(driver: ProcessDriver, spec: LaunchSpec): Promise<BackendRef> {
    return driver.start(spec, () => {}, never);
  }

  async function only(driver: ProcessDriver): Promise<ObservedReplica> {
    const all = await driver.list(never);
    expect(all).toHaveLength(1);
    return all[0]!;
  }

  function untilState(driver: ProcessDriver, state: ObservedReplica["state"]): Promise<ObservedReplica> {
    return until(async () => {
      const replica = await only(driver);
      return replica.state === state && replica;
    });
  }

  async function isAlive(pid: number): Promise<boolean> {
    return isLive(await table.stat(pid));
  }

  async function logLine(ref: BackendRef, pattern: RegExp): Promise<RegExpExecArray> {
    const path = join(logDir, `${ref.name}.log`);
    return until(async () => pattern.exec(await readFile(path, "utf8")), { what: `${pattern} in the log` });
  }

  describe("start", () => {
    it("leaves the child nothing of the gateway but a few variables: no pipe, no session, no secret", async () => {
      const driver = makeDriver({ baseEnv: { PATH: "/bin", HF_TOKEN: "secret" } });
      const spec = rig.program(script("setInterval(() => {}, 1000); console.log('fds', process.stdin.isTTY)"));
      const ref = await start(driver, { ...spec, env: { MINE: "{port}" } });
      const pid = pidOf(ref.id);
      const environ = await table.environ(pid);
      const { address } = await only(driver);
      expect(Object.fromEntries(environ ?? [])).toMatchObject({ PATH: "/bin", MINE: address?.port });
      expect(environ?.has("HF_TOKEN")).toBe(false);
      expect(await table.stat(pid)).toMatchObject({ group: pid });
    });

    it("tells the engine which GPUs are its own", async () => {
      const gpus: Gpu[] = ["0000:03:00.0", "0000:26:00.0"].map((id) => {
        return { id, vendor: "amd", product: "MI300X", memoryBytes: 1 };
      });
      const driver = makeDriver({ gpus });
      expect(await driver.inventory()).toEqual(gpus);
      const ref = await start(driver, { ...rig.program(IDLE), gpus: ["0000:26:00.0"] });
      expect((await table.environ(pidOf(ref.id)))?.get("HIP_VISIBLE_DEVICES")).toBe("1");
    });

    it.each([
      ["a name that is a path", { replica: "../x" }, /"..\/x" is no name/],
      ["a GPU that is not configured", { gpus: ["z"] }, /GPU z is not among/],
      ["an empty command line", { argv: [] }, /cannot run/],
      ["a file that is no program", { argv: [SCRIPT] }, /cannot run .*driver\.test\.ts: .*EACCES/],
      ["an argument that no program can get", { argv: ["node", "a\0b"] }, /cannot run node: .*null byte/],
    ])("refuses %s and leaves nothing", async (_, part, message) => {
      const driver = makeDriver();
      await expect(start(driver, { ...rig.program(IDLE), ...part })).rejects.toThrow(message);
      expect(await driver.list(never)).toEqual([]);
    });

    it("gives each replica a port of its own", async () => {
      const driver = makeDriver();
      for (let count = 0; count < 4; count++) await start(driver, rig.program(IDLE));
      const ports = (await driver.list(never)).map((replica) => replica.address?.port);
      expect(new Set(ports).size).toBe(4);
    });

    it("appends to the log of an earlier replica of that name, and shows its own lines alone", async () => {
      const driver = makeDriver();
      const spec = rig.program(script("console.log('run', process.pid)"));
      const [first, second] = [await start(driver, spec), await untilExitedThenStart(driver, spec)];
      const lines: string[] = [];
      for await (const { text } of driver.logs(second, { follow: true, tail: 10 }, never)) lines.push(text);
      expect(lines).toEqual([`run ${pidOf(second.id)}`]);
      await logLine(first, new RegExp(`run ${pidOf(first.id)}\n`));
    });

    async function untilExitedThenStart(driver: ProcessDriver, spec: LaunchSpec): Promise<BackendRef> {
      await untilState(driver, "exited");
      return start(driver, spec);
    }
  });

  it("starts nothing where its log cannot be written, and says which directory is at fault", async () => {
    const driver = makeDriver({ logDir: SCRIPT });
    await expect(start(driver, rig.spec())).rejects.toMatchObject({
      code: "runtime_unavailable",
      message: expect.stringContaining(SCRIPT),
    });
    expect(await driver.list(never)).toEqual([]);
  });

  describe("the end of a replica", () => {
    it("is remembered with the signal that ended it", async () => {
      const driver = makeDriver();
      const ref = await start(driver, rig.program(IDLE));
      process.kill(pidOf(ref.id), "SIGKILL");
      const { exit } = await untilState(driver, "exited");
      expect(exit).toEqual({ code: undefined, signal: "SIGKILL", outOfMemory: false });
    });

    it("takes its children along, those in sessions of their own included", async () => {
      const escape = `
        const { spawn } = require("node:child_process");
        const idle = ["-e", "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)"];
        const same = spawn(process.execPath, idle, { stdio: "ignore" });
        const own = spawn(process.execPath, idle, { stdio: "ignore", detached: true });
        console.log("children", same.pid, own.pid);
        setInterval(() => {}, 1000);`;
      const driver = makeDriver();
      const ref = await start(driver, rig.program(script(escape)));
      const [, same, own] = await logLine(ref, /children (\d+) (\d+)/);
      const pids = [pidOf(ref.id), Number(same), Number(own)];
      expect(await Promise.all(pids.map(isAlive))).toEqual([true, true, true]);
      expect((await only(driver)).ref).toEqual(ref);
      await driver.stop(ref, { graceMs: 200, reason: "the test wants it gone" }, never);
      expect(await Promise.all(pids.map(isAlive))).toEqual([false, false, false]);
    });

    it.each(["its own", "an adopting"])("leaves no orphan that %s driver does not see", async (whose) => {
      const abandon = `
        const idle = ["-e", "setInterval(() => {}, 1000)"];
        const child = require("node:child_process").spawn(process.execPath, idle, { stdio: "ignore" });
        console.log("child", child.pid);
        setTimeout(() => process.exit(3), 100);`;
      const starter = makeDriver();
      const ref = await start(starter, rig.program(script(abandon)));
      const child = Number((await logLine(ref, /child (\d+)/))[1]);
      await untilState(starter, "exited");
      const driver = whose === "its own" ? starter : makeDriver();
      const orphaned = await only(driver);
      expect(orphaned.state).toBe("exited");
      expect(await isAlive(child)).toBe(true);
      await driver.stop(orphaned.ref, NOW, never);
      expect(await isAlive(child)).toBe(false);
    });

    it("comes to a stopped process too, which shows as unresponsive until then", async () => {
      const driver = makeDriver();
      const ref = await start(driver, rig.program(IDLE));
      process.kill(pidOf(ref.id), "SIGSTOP");
      const stopped = await untilState(driver, "unresponsive");
      expect(stopped.ref).toEqual(ref);
      const before = performance.now();
      await driver.stop(ref, { graceMs: 20_000, reason: "the test wants it gone" }, never);
      expect(performance.now() - before).toBeLessThan(5000);
    });

    it("is no business of a ref whose pid now belongs to someone else", async () => {
      const driver = makeDriver();
      const ref = await start(driver, rig.program(IDLE));
      const pid = pidOf(ref.id);
      const other = makeDriver();
      await other.stop({ id: `${pid}:1`, name: ref.name }, { graceMs: 0, reason: "a stale ref" }, never);
      await other.stop({ id: `${pid}:1`, name: "another" }, { graceMs: 0, reason: "a stale ref" }, never);
      await other.stop({ id: "1:1", name: "../x" }, { graceMs: 0, reason: "a made-up ref" }, never);
      expect(await isAlive(pid)).toBe(true);
    });

    it("waits no longer when the signal aborts", async () => {
      const driver = makeDriver();
      const spec = rig.program(
        script("process.on('SIGTERM', () => {}); console.log('up'); setInterval(() => {}, 1000)"),
      );
      const ref = await start(driver, spec);
      await logLine(ref, /up/);
      const abort = new AbortController();
      const stopping = driver.stop(ref, { graceMs: 60_000, reason: "the test wants it gone" }, abort.signal);
      abort.abort(new Error("changed my mind"));
      await expect(stopping).rejects.toThrow("changed my mind");
      expect((await only(driver)).state).toBe("running");
    });
  });

  describe("a gateway that comes back", () => {
    it("after kill -9 finds its replica alive and serving, follows its log, notes its end", async () => {
      const argv = [GATEWAY, rig.installation, logDir, "survivor"];
      const gateway = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "inherit"] });
      const [told] = await once(gateway.stdout, "data");
      const ref: unknown = JSON.parse(String(told));
      gateway.kill("SIGKILL");
      await once(gateway, "exit");

      const driver = makeDriver();
      const adopted = await only(driver);
      expect(adopted).toMatchObject({ ref, state: "running" });
      await until(() => accepts(adopted.address!), { what: "the server of the survivor" });
      const lines: string[] = [];
      const followed = (async () => {
        for await (const { text } of driver.logs(adopted.ref, { follow: true, tail: 5 }, never)) lines.push(text);
      })();
      await until(() => lines.length > 0);
      let hints = 0;
      driver.watch(() => (hints += 1), never);
      process.kill(pidOf(adopted.ref.id), "SIGKILL");
      await until(() => hints > 0, { what: "a hint of its end" });
      await followed;
      expect(await driver.list(never)).toEqual([]);
    });

    it("leaves marks of a newer kind or a broken one alone", async () => {
      const foreign = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], {
        stdio: "ignore",
        env: { AIM_ENGINE_LABELS: "{broken", AIM_ENGINE_ADDRESS: "http://127.0.0.1:1" },
      });
      await once(foreign, "spawn");
      expect(await makeDriver().list(never)).toEqual([]);
      foreign.kill("SIGKILL");
      await once(foreign, "exit");
    });
  });

  it("rotates the log of a running replica that writes too much", async () => {
    const driver = makeDriver({ maxLogBytes: 20_000 });
    const flood = "setInterval(() => console.log('x'.repeat(999)), 1)";
    const ref = await start(driver, rig.program(script(flood)));
    const older = join(logDir, `${ref.name}.log.1`);
    await until(async () => (await stat(older).catch(() => undefined)) !== undefined, {
      what: "the older log",
    });
    expect((await only(driver)).state).toBe("running");
  });

  it("deletes the logs of replicas that are gone for more than a week, whatever they ran in", async () => {
    const old = join(logDir, "gone.log");
    await writeFile(old, "x");
    await utimes(old, 1000, 1000);
    await writeFile(join(logDir, "fresh.log"), "x");
    makeDriver();
    await until(async () => (await stat(old).catch(() => undefined)) === undefined, { what: "the end of the old log" });
    expect((await stat(join(logDir, "fresh.log"))).size).toBe(1);
  });

  describe("ping", () => {
    it("makes the log directory", async () => {
      await makeDriver({ logDir: join(logDir, "a", "b") }).ping(never);
      expect((await stat(join(logDir, "a", "b"))).isDirectory()).toBe(true);
    });

    it("says which directory cannot be used, and what to do", async () => {
      await writeFile(join(logDir, "file"), "");
      const pinged = makeDriver({ logDir: join(logDir, "file", "x") }).ping(never);
      await expect(pinged).rejects.toMatchObject({ code: "runtime_unavailable" });
      await expect(pinged).rejects.toThrow(/file\/x: make it a writable directory/);
    });
  });

  describe("where there is no /proc", () => {
    it("starts, lists and ends its own children, and adopts nothing", async () => {
      const options = { procRoot: join(logDir, "no-proc") };
      const driver = makeDriver(options);
      await driver.ping(never);
      const ref = await start(driver, rig.program(IDLE));
      expect(await only(driver)).toMatchObject({ ref, state: "running" });
      expect(await makeDriver(options).list(never)).toEqual([]);
      await expect(driver.stats(ref, never)).rejects.toMatchObject({ code: "replica_not_found" });
      await driver.stop(ref, NOW, never);
      expect(await driver.list(never)).toEqual([]);
      expect(await isAlive(pidOf(ref.id))).toBe(false);
    });
  });

  it("sets the installation and the name by itself, whatever the labels of a spec say", async () => {
    const driver = makeDriver();
    const spec = rig.program(IDLE);
    await start(driver, { ...spec, labels: { ...spec.labels, [LABELS.installation]: "someone-else" } });
    expect((await only(driver)).labels[LABELS.installation]).toBe(rig.installation);
  });
});

function accepts(address: URL): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(Number(address.port), address.hostname);
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}
