// What every runtime driver must do: one suite, run against each of them. It uses the sim engine as the replica.
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { LABELS, type LaunchSpec } from "../../src/catalog/launch-spec.ts";
import { isAimError } from "../../src/errors.ts";
import { systemClock } from "../../src/lib/clock.ts";
import type { BackendRef, LogLine, ObservedReplica, RuntimeDriver, StartPhase } from "../../src/runtime/driver.ts";
import { createReadinessProbe } from "../../src/runtime/readiness.ts";
import { until } from "../support/until.ts";

/** How the suite gets at one runtime. */
export interface DriverHarness {
  /** A fresh driver object on the same runtime and installation, as after a restart of the gateway. */
  makeDriver(): Promise<RuntimeDriver>;
  /** A driver of another installation on the same runtime. */
  makeStranger(): Promise<RuntimeDriver>;
  /** The sim engine, quick to load, with `warmUp: false`. */
  spec(options?: SpecOptions): LaunchSpec;
  /** A spec whose program (`argv[0]`) does not exist. */
  missingProgram(): LaunchSpec;
  /** Removes everything the harness made, replicas that a failed test left included. Called after each test. */
  cleanUp(): Promise<void>;
}

export interface SpecOptions {
  /** A fresh name unless given. */
  readonly replica?: string;
  /** Knobs of the sim engine, added to the spec's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Arguments added after the engine's own. */
  readonly argv?: readonly string[];
}

const SLOW = { timeout: 60_000 };
const NOW = { graceMs: 20_000, reason: "the test is over" };

/** Declares the suite; `makeHarness` runs once. */
export function describeDriverContract(name: string, makeHarness: () => Promise<DriverHarness>): void {
  describe(`the ${name} driver keeps the contract`, SLOW, () => {
    let harness: DriverHarness;
    const drivers: RuntimeDriver[] = [];
    const never = new AbortController().signal;
    const probe = createReadinessProbe({ clock: systemClock });

    beforeAll(async () => {
      harness = await makeHarness();
    });
    afterEach(async () => {
      await Promise.all(drivers.splice(0).map((driver) => driver.close()));
      await harness.cleanUp();
    });
    afterAll(() => probe.close());

    async function makeDriver(): Promise<RuntimeDriver> {
      const driver = await harness.makeDriver();
      drivers.push(driver);
      return driver;
    }

    async function makeStranger(): Promise<RuntimeDriver> {
      const driver = await harness.makeStranger();
      drivers.push(driver);
      return driver;
    }

    function start(driver: RuntimeDriver, spec: LaunchSpec): Promise<BackendRef> {
      return driver.start(spec, () => {}, never);
    }

    async function find(driver: RuntimeDriver, replica: string): Promise<ObservedReplica | undefined> {
      const found = (await driver.list(never)).filter((one) => one.labels[LABELS.replica] === replica);
      expect(found.length, `entries for ${replica}`).toBeLessThanOrEqual(1);
      return found[0];
    }

    async function expectRunning(driver: RuntimeDriver, replica: string): Promise<ObservedReplica> {
      const found = await find(driver, replica);
      expect(found?.state).toBe("running");
      return found!;
    }

    async function isReady(replica: ObservedReplica, spec: LaunchSpec): Promise<boolean> {
      if (replica.address === undefined) return false;
      return (await probe.isReady(replica.address, spec.readiness, never)).ready;
    }

    async function startReady(driver: RuntimeDriver, spec: LaunchSpec): Promise<BackendRef> {
      const ref = await start(driver, spec);
      const running = await expectRunning(driver, spec.replica);
      await until(() => isReady(running, spec), { timeoutMs: 30_000, what: `readiness of ${spec.replica}` });
      return ref;
    }

    function untilExited(driver: RuntimeDriver, replica: string): Promise<ObservedReplica> {
      const exited = async () => {
        const found = await find(driver, replica);
        return found?.state === "exited" && found;
      };
      return until(exited, { timeoutMs: 30_000, what: `the exit of ${replica}` });
    }

    async function readLog(driver: RuntimeDriver, ref: BackendRef, tail: number): Promise<string[]> {
      const lines: string[] = [];
      for await (const line of driver.logs(ref, { follow: false, tail }, never)) lines.push(line.text);
      return lines;
    }

    describe("ping and inventory", () => {
      it("answers the ping of a runtime that can be used", async () => {
        const driver = await makeDriver();
        await expect(driver.ping(never)).resolves.toBeUndefined();
      });

      it("names each GPU once", async () => {
        const gpus = await (await makeDriver()).inventory(never);
        expect(new Set(gpus.map((gpu) => gpu.id)).size).toBe(gpus.length);
      });
    });

    describe("start", () => {
      it("reports its phases in order, the last one before it resolves", async () => {
        const driver = await makeDriver();
        const phases: StartPhase[] = [];
        const ref = await driver.start(harness.spec(), (phase) => phases.push(phase), never);
        const kinds = phases.map((phase) => phase.kind);
        expect(kinds.filter((kind) => kind !== "pulling")).toEqual(["creating", "started"]);
        expect(kinds.lastIndexOf("pulling")).toBeLessThan(kinds.indexOf("creating"));
        expect(phases.at(-1)).toMatchObject({ kind: "started", ref });
      });

      it("lists the replica as running, with all its labels and an address where its server answers", async () => {
        const driver = await makeDriver();
        const spec = harness.spec();
        const phases: StartPhase[] = [];
        const ref = await driver.start(spec, (phase) => phases.push(phase), never);
        const running = await expectRunning(driver, spec.replica);
        expect(running.ref).toEqual(ref);
        expect(running.labels).toMatchObject(spec.labels);
        expect(running.exit).toBeUndefined();
        expect(phases.at(-1)).toMatchObject({ address: running.address });
        expect(Math.abs(Date.now() - (running.startedAt ?? 0))).toBeLessThan(60_000);
        expect(running.createdAt ?? 0).toBeLessThanOrEqual(running.startedAt ?? 0);
        await until(() => isReady(running, spec), { timeoutMs: 30_000 });
      });

      it("hands arguments over unchanged, never through a shell", async () => {
        const driver = await makeDriver();
        const servedModel = "$(exit 1); `false` 'a  b' \"c\" *";
        const plain = harness.spec({ argv: ["--served-model-name", servedModel] });
        const spec = { ...plain, readiness: { ...plain.readiness, servedModel } };
        await startReady(driver, spec);
        expect(await isReady(await expectRunning(driver, spec.replica), spec)).toBe(true);
      });

      it("takes over a replica of that name that already runs from the same recipe", async () => {
        const spec = harness.spec();
        const first = await start(await makeDriver(), spec);
        const driver = await makeDriver();
        const phases: StartPhase[] = [];
        const second = await driver.start(spec, (phase) => phases.push(phase), never);
        expect(second).toEqual(first);
        expect(phases.at(-1)).toMatchObject({ kind: "started", ref: first });
        await expectRunning(driver, spec.replica);
      });

      it("starts one replica when the same start is asked for twice at once", async () => {
        const driver = await makeDriver();
        const spec = harness.spec();
        const starts = await Promise.allSettled([start(driver, spec), start(driver, spec)]);
        const refs = starts.filter((one) => one.status === "fulfilled").map((one) => one.value.id);
        const running = await expectRunning(driver, spec.replica);
        expect(refs.length).toBeGreaterThan(0);
        expect(new Set(refs)).toEqual(new Set([running.ref.id]));
      });

      it("rejects when the name already runs from another recipe, and leaves that one alone", async () => {
        const driver = await makeDriver();
        const spec = harness.spec();
        const ref = await start(driver, spec);
        const other = { ...spec, labels: { ...spec.labels, [LABELS.recipeHash]: "another" } };
        const error = await start(driver, other).catch((error: unknown) => error);
        expect(isAimError(error, "runtime_failed")).toBe(true);
        expect(String(error)).toContain(spec.replica);
        expect((await expectRunning(driver, spec.replica)).ref).toEqual(ref);
      });

      it("starts anew over the remains of one that ended", async () => {
        const driver = await makeDriver();
        const spec = harness.spec({ env: { AIM_SIM_CRASH_BEFORE_READY: "0.01" } });
        const first = await start(driver, spec);
        await untilExited(driver, spec.replica);
        const second = await start(driver, harness.spec({ replica: spec.replica }));
        expect(second.id).not.toBe(first.id);
        await expectRunning(driver, spec.replica);
      });

      it("names a program that cannot be started, and leaves nothing behind", async () => {
        const driver = await makeDriver();
        const spec = harness.missingProgram();
        const error = await start(driver, spec).catch((error: unknown) => error);
        expect(isAimError(error, "runtime_failed")).toBe(true);
        expect(String(error)).toContain(spec.argv[0]);
        expect(await find(driver, spec.replica)).toBeUndefined();
      });

      it("rejects and starts nothing when it was aborted before", async () => {
        const driver = await makeDriver();
        const spec = harness.spec();
        const aborted = AbortSignal.abort(new Error("changed my mind"));
        await expect(driver.start(spec, () => {}, aborted)).rejects.toThrow("changed my mind");
        expect(await find(driver, spec.replica)).toBeUndefined();
      });

      it.each(["creating", "started"] as const)("leaves nothing when aborted while %s", async (kind) => {
        const driver = await makeDriver();
        const spec = harness.spec();
        const abort = new AbortController();
        const observe = (phase: StartPhase) => {
          if (phase.kind === kind) abort.abort(new Error("changed my mind"));
        };
        await expect(driver.start(spec, observe, abort.signal)).rejects.toThrow("changed my mind");
        expect(await find(driver, spec.replica)).toBeUndefined();
      });
    });

    describe("stop", () => {
      it("ends an obedient replica long before its grace is over", async () => {
        const driver = await makeDriver();
        const spec = harness.spec();
        const ref = await startReady(driver, spec);
        const running = await expectRunning(driver, spec.replica);
        const startedAt = performance.now();
        await driver.stop(ref, NOW, never);
        expect(performance.now() - startedAt).toBeLessThan(NOW.graceMs / 2);
        expect(await find(driver, spec.replica)).toBeUndefined();
        expect(await isReady(running, spec)).toBe(false);
      });

      it("kills one that ignores SIGTERM, and not before its grace is over", async () => {
        const driver = await makeDriver();
        const spec = harness.spec({ env: { AIM_SIM_IGNORE_SIGTERM: "1" } });
        const ref = await startReady(driver, spec);
        const startedAt = performance.now();
        await driver.stop(ref, { graceMs: 1000, reason: "the test wants it gone" }, never);
        expect(performance.now() - startedAt).toBeGreaterThan(950);
        expect(performance.now() - startedAt).toBeLessThan(10_000);
        expect(await find(driver, spec.replica)).toBeUndefined();
      });

      it("ends one that is still loading", async () => {
        const driver = await makeDriver();
        const spec = harness.spec({ env: { AIM_SIM_LOAD_SECONDS: "600" } });
        const ref = await start(driver, spec);
        await driver.stop(ref, { graceMs: 3000, reason: "the test wants it gone" }, never);
        expect(await find(driver, spec.replica)).toBeUndefined();
      });

      it("resolves for a replica that is gone, however often it is asked", async () => {
        const driver = await makeDriver();
        const spec = harness.spec();
        const ref = await start(driver, spec);
        await Promise.all([driver.stop(ref, NOW, never), driver.stop(ref, NOW, never)]);
        await driver.stop(ref, NOW, never);
        expect(await find(driver, spec.replica)).toBeUndefined();
      });

      it("stops a replica that it has not started itself", async () => {
        const spec = harness.spec();
        const ref = await startReady(await makeDriver(), spec);
        const driver = await makeDriver();
        await driver.stop(ref, NOW, never);
        expect(await find(driver, spec.replica)).toBeUndefined();
      });
    });

    describe("list", () => {
      it("shows a fresh driver the replicas of the one before it", async () => {
        const before = await makeDriver();
        const spec = harness.spec();
        await start(before, spec);
        const seenBefore = await expectRunning(before, spec.replica);
        await before.close();
        const seenAfter = await expectRunning(await makeDriver(), spec.replica);
        expect(seenAfter).toEqual(seenBefore);
      });

      it("neither shows nor stops replicas of another installation", async () => {
        const driver = await makeDriver();
        const spec = harness.spec();
        const ref = await start(driver, spec);
        const stranger = await makeStranger();
        expect(await stranger.list(never)).toEqual([]);
        await stranger.stop(ref, { graceMs: 0, reason: "the test is nosy" }, never);
        await expectRunning(driver, spec.replica);
      });
    });

    describe("an exit", () => {
      it("is hinted at within a second, listed with its exit code, and removed by stop", async () => {
        const driver = await makeDriver();
        const spec = harness.spec({ env: { AIM_SIM_CRASH_AFTER_READY: "0.3", AIM_SIM_EXIT_CODE: "7" } });
        const watching = new AbortController();
        onTestFinished(() => watching.abort());
        let hintedExit = false;
        const look = async () => {
          if ((await find(driver, spec.replica))?.state === "exited") hintedExit = true;
        };
        const ref = await start(driver, spec);
        const kinds = new Set<string>();
        driver.watch((hint) => {
          kinds.add(hint.kind);
          void look().catch(() => undefined);
        }, watching.signal);
        const exited = await untilExited(driver, spec.replica);
        await until(() => hintedExit, { timeoutMs: 1000, what: "the hint" });
        expect(kinds).toEqual(new Set(["changed"]));
        expect(exited.exit).toEqual({ code: 7, outOfMemory: false });
        expect(exited.address).toBeUndefined();
        expect(exited.ref).toEqual(ref);
        await driver.stop(ref, NOW, never);
        expect(await find(driver, spec.replica)).toBeUndefined();
      });

      it("is not hinted at once the watcher has left", async () => {
        const driver = await makeDriver();
        const left = new AbortController();
        const stays = new AbortController();
        onTestFinished(() => stays.abort());
        let [hintsOfLeft, hintsOfStays] = [0, 0];
        driver.watch(() => (hintsOfLeft += 1), left.signal);
        driver.watch(() => (hintsOfStays += 1), stays.signal);
        left.abort();
        const ref = await start(driver, harness.spec());
        await driver.stop(ref, NOW, never);
        await until(() => hintsOfStays > 0, { what: "a hint for the one that stays" });
        expect(hintsOfLeft).toBe(0);
      });
    });

    describe("logs", () => {
      it("begin with as many of the last lines as asked for, oldest first", async () => {
        const driver = await makeDriver();
        const ref = await startReady(driver, harness.spec());
        const settled = async () => {
          const all = await readLog(driver, ref, 10_000);
          const last = await readLog(driver, ref, 3);
          return all.length > 3 && JSON.stringify(last) === JSON.stringify(all.slice(-3));
        };
        await until(settled, { what: "a tail of three lines" });
        expect(await readLog(driver, ref, 0)).toEqual([]);
      });

      it("follow the replica until it is gone", async () => {
        const driver = await makeDriver();
        const spec = harness.spec({ env: { AIM_SIM_LOG_FLOOD: "20" } });
        const ref = await startReady(driver, spec);
        const lines: string[] = [];
        const followed = (async () => {
          for await (const line of driver.logs(ref, { follow: true, tail: 0 }, never)) lines.push(line.text);
        })();
        await until(() => lines.length >= 3, { what: "three new lines" });
        await driver.stop(ref, NOW, never);
        await expect(followed).resolves.toBeUndefined();
      });

      it("end when the signal aborts", async () => {
        const driver = await makeDriver();
        const ref = await startReady(driver, harness.spec());
        const abort = new AbortController();
        const seen: string[] = [];
        for await (const line of driver.logs(ref, { follow: true, tail: 2 }, abort.signal)) {
          seen.push(line.text);
          if (seen.length === 2) abort.abort(new Error("seen enough"));
        }
        expect(seen.length).toBe(2);
      });

      it("of a replica that has ended hold its last words", async () => {
        const driver = await makeDriver();
        const spec = harness.spec({ env: { AIM_SIM_LOAD_SECONDS: "1", AIM_SIM_CRASH_BEFORE_READY: "0.5" } });
        const ref = await start(driver, spec);
        await untilExited(driver, spec.replica);
        const lines: string[] = [];
        for await (const line of driver.logs(ref, { follow: true, tail: 50 }, never)) lines.push(line.text);
        expect(lines.length).toBeGreaterThan(0);
        expect(lines).toEqual(await readLog(driver, ref, 50));
      });

      it("of a replica that is gone are kept", async () => {
        const driver = await makeDriver();
        const spec = harness.spec();
        const ref = await startReady(driver, spec);
        const seen = await readLog(driver, ref, Infinity);
        await driver.stop(ref, NOW, never);
        const kept = await readLog(driver, ref, Infinity);
        expect(seen.length).toBeGreaterThan(0);
        expect(kept.slice(0, seen.length)).toEqual(seen);
        expect(await readLog(driver, ref, 2)).toEqual(kept.slice(-2));
        expect(await readLog(await makeDriver(), ref, Infinity)).toEqual(kept);
      });

      it("begin after the time that is asked for, where lines have times", async () => {
        const driver = await makeDriver();
        const ref = await startReady(driver, harness.spec());
        const lines: LogLine[] = [];
        for await (const line of driver.logs(ref, { follow: false, tail: Infinity }, never)) lines.push(line);
        const since = lines[1]?.time;
        if (since === undefined) return;
        const after: LogLine[] = [];
        for await (const line of driver.logs(ref, { follow: false, tail: Infinity, since }, never)) after.push(line);
        expect(after.slice(0, lines.length - 2)).toEqual(lines.slice(2));
      });

      it("end at once for a replica that never was", async () => {
        const driver = await makeDriver();
        const spec = harness.spec();
        const ref = await start(driver, spec);
        await driver.stop(ref, NOW, never);
        const stranger = { id: ref.id, name: `${ref.name}-never-was` };
        expect(await readLog(driver, stranger, 10)).toEqual([]);
      });
    });

    describe("stats and close", () => {
      it("tell memory and CPU time of a running replica", async () => {
        const driver = await makeDriver();
        const ref = await startReady(driver, harness.spec());
        const stats = await driver.stats(ref, never);
        expect(stats.memoryBytes).toBeGreaterThan(1_000_000);
        expect(stats.memoryLimitBytes ?? Infinity).toBeGreaterThan(stats.memoryBytes);
        expect(stats.cpuSeconds).toBeGreaterThan(0);
      });

      it("reject for a replica that is gone", async () => {
        const driver = await makeDriver();
        const ref = await start(driver, harness.spec());
        await driver.stop(ref, NOW, never);
        const error = await driver.stats(ref, never).catch((error: unknown) => error);
        expect(isAimError(error, "replica_not_found", "runtime_failed")).toBe(true);
      });

      it("let go of the replica without ending it", async () => {
        const spec = harness.spec();
        const first = await makeDriver();
        await startReady(first, spec);
        await first.close();
        await first.close();
        const running = await expectRunning(await makeDriver(), spec.replica);
        expect(await isReady(running, spec)).toBe(true);
      });
    });
  });
}
