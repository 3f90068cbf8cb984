// Ending the gateway while something is going on.
import { pino } from "pino";
import { describe, expect, it, vi } from "vitest";
import { sleep } from "../../src/lib/clock.ts";
import { FakeDriver } from "../support/fake-driver.ts";
import { Rig } from "../support/make-plane.ts";
import { makeRecipe } from "../support/make.ts";

describe("a gateway that shuts down", () => {
  it("starts nothing any more, not even to keep a minimum", async () => {
    const recipes = [makeRecipe({ replicas: { min: 1, max: 1 } })];
    const rig = new Rig({ recipes, settings: { keepOnExit: new Set() } });
    await rig.clock.advance(5_000);
    await Promise.all([rig.plane.stop(), rig.clock.advance(40_000)]);
    expect(rig.world.starts).toHaveLength(1);
    expect(rig.world.containers.size).toBe(0);
    expect(rig.clock.pending).toBe(0);
  });

  it("sees a replica through that uses up its grace and has to be killed", async () => {
    const rig = new Rig({ recipes: [makeRecipe()], settings: { keepOnExit: new Set() } });
    rig.request("tiny");
    await rig.clock.advance(5_000);
    rig.world.pace.stopMs = 30_500;
    await Promise.all([rig.plane.stop(), rig.clock.advance(60_000)]);
    expect(rig.world.containers.size).toBe(0);
  });

  it("leaves a runtime that hangs after the grace and a little more", async () => {
    const rig = new Rig({ recipes: [makeRecipe()], settings: { keepOnExit: new Set() } });
    rig.request("tiny");
    await rig.clock.advance(5_000);
    rig.world.pace.stopMs = Infinity;
    let isStopped = false;
    void rig.plane.stop().then(() => (isStopped = true));
    await rig.clock.advance(40_000);
    expect(isStopped).toBe(true);
    expect(rig.clock.pending).toBe(0);
  });

  it("waits for what it is finding out about a replica that has just ended", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    rig.request("tiny");
    await rig.clock.advance(5_000);
    vi.spyOn(FakeDriver.prototype, "logs").mockImplementation(async function* (_ref, _options, signal) {
      await sleep(rig.clock, 3_600_000, signal);
      yield { text: "too late", stream: "stdout" };
    });
    rig.world.exit("tiny-1", { code: 1, outOfMemory: false });
    await rig.clock.advance(1);
    let pending: number | undefined;
    void rig.plane.stop().then(() => (pending = rig.clock.pending));
    await rig.clock.advance(2_000);
    expect(pending).toBe(0);
    expect(rig.plane.fleet.replicas.find("tiny-1")?.state).toBe("failed");
  });
});

describe("a fault in finding out why a replica ended", () => {
  it("is logged, and the replica is replaced all the same", async () => {
    const errors: string[] = [];
    const logger = pino({ level: "error" }, { write: (line: string) => void errors.push(line) });
    const diagnose = () => {
      throw new Error("a fault of ours");
    };
    const rig = new Rig({ recipes: [makeRecipe()], logger, diagnose });
    rig.request("tiny");
    await rig.clock.advance(5_000);
    rig.world.exit("tiny-1", { code: 1, outOfMemory: false });
    await rig.clock.advance(1_000);
    expect(errors.join()).toContain("a fault of ours");
    expect(rig.states()).toEqual([]);
    const next = rig.request("tiny");
    await rig.clock.advance(5_000);
    expect(next.outcome).toBe("served");
  });
});

describe("an effect that breaks its contract", () => {
  function makeBroken() {
    const errors: string[] = [];
    const logger = pino({ level: "error" }, { write: (line: string) => void errors.push(line) });
    const rig = new Rig({ recipes: [makeRecipe()], logger });
    rig.world.startFaults.push(new Error("no such device"));
    const { fleet } = rig.plane;
    const fail = fleet.fail.bind(fleet);
    let calls = 0;
    fleet.fail = (replica, failure) => {
      calls += 1;
      if (calls === 1) throw new Error("a fault of ours");
      fail(replica, failure);
    };
    return { rig, errors };
  }

  it("is logged, and its replica is taken down after a pause, so that the next one can serve", async () => {
    const { rig, errors } = makeBroken();
    const request = rig.request("tiny");
    await rig.clock.advance(1_000);
    expect(errors.join()).toContain("an effect broke its contract");
    expect(rig.states()).toEqual(["tiny-1 starting"]);
    await rig.clock.advance(20_000);
    expect(request.outcome).toBe("served");
    expect(rig.states()).toEqual(["tiny-2 ready"]);
  });
});
