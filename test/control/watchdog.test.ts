// Engines that hang: found by their tokens, never by how slowly they answer, and replaced.
import { describe, expect, it } from "vitest";
import type { EngineLoad } from "../../src/control/watchdog.ts";
import { sleep } from "../../src/lib/clock.ts";
import { FakeClock } from "../support/clock.ts";
import { Rig } from "../support/make-plane.ts";
import { makeRecipe } from "../support/make.ts";

const MINUTE = 60_000;

interface Script {
  /** What the engine says at that time; undefined: nothing. */
  load(now: number): EngineLoad | undefined;
  generates?(): boolean | Promise<boolean>;
}

async function busyRig(script: Script, serveMs = 60 * MINUTE) {
  const asked = { load: 0, token: 0, atOnce: 0, most: 0 };
  const clock = new FakeClock();
  const rig = new Rig({
    clock,
    recipes: [makeRecipe()],
    settings: { progressMs: 3 * MINUTE },
    engines: {
      loadOf: async () => {
        asked.load += 1;
        asked.atOnce += 1;
        asked.most = Math.max(asked.most, asked.atOnce);
        await Promise.resolve();
        asked.atOnce -= 1;
        return script.load(clock.now());
      },
      generates: async () => {
        asked.token += 1;
        return script.generates?.() ?? false;
      },
    },
  });
  const request = rig.request("tiny", { serveMs });
  await rig.clock.advance(10_000);
  expect(request.outcome).toBe("serving");
  return { rig, request, asked };
}

describe("an engine that says what its cache holds", () => {
  const body = Buffer.alloc(4_096, "prompt");
  const traits = { prompt: { body, spans: [{ start: 0, end: body.length }] } };

  it.each([
    ["is sent what it has cached", undefined, 1_024],
    ["is not sent for that what it cannot have cached", 0, 0],
  ])("%s", async (_, cacheTokens, expected) => {
    const clock = new FakeClock();
    const rig = new Rig({
      clock,
      recipes: [makeRecipe({ replicas: { min: 2, max: 2 } })],
      settings: { progressMs: 3 * MINUTE },
      engines: {
        loadOf: async () => ({
          requests: 1,
          tokens: clock.now(),
          ...(cacheTokens === undefined ? {} : { cacheTokens }),
        }),
      },
    });
    await rig.clock.advance(10_000);
    rig.requests("tiny", 2, { serveMs: 60 * MINUTE });
    await rig.clock.advance(MINUTE);
    for (let turn = 0; turn < 2; turn++) {
      rig.request("tiny", { traits, serveMs: 100 });
      await rig.clock.advance(1_000);
    }
    expect(rig.plane.router.routed()).toEqual([{ model: "tiny", tokens: 2_048, cachedTokens: expected }]);
    await rig.plane.stop();
  });
});

describe("an engine with requests", () => {
  it("that processes no token for the limit is replaced, and its requests break", async () => {
    const { rig, request } = await busyRig({ load: () => ({ requests: 1, tokens: 5 }) });
    rig.world.condemned.add("tiny-1");
    await rig.clock.advance(2 * MINUTE);
    expect(rig.states()).toEqual(["tiny-1 ready"]);
    await rig.clock.advance(2 * MINUTE);
    expect(request.outcome).toBe("broken");
    expect(rig.plane.fleet.lastFailure("tiny")).toMatchObject({
      cause: "stalled",
      message: "tiny is replaced: its engine made no progress for 3m",
    });
    const next = rig.request("tiny");
    await rig.clock.advance(10_000);
    expect(next.outcome).toBe("served");
    expect(rig.world.starts).toHaveLength(2);
  });

  it("is left alone as long as its tokens flow, however slowly", async () => {
    const { rig, asked } = await busyRig({
      load: (now) => ({ requests: 1, tokens: Math.floor(now / (2.5 * MINUTE)) }),
    });
    await rig.clock.advance(30 * MINUTE);
    expect(rig.states()).toEqual(["tiny-1 ready"]);
    expect(asked).toMatchObject({ most: 1, token: 0 });
    expect(asked.load).toBeGreaterThan(100);
  });

  it("is left alone when it tells nothing", async () => {
    const { rig, asked } = await busyRig({ load: () => undefined });
    await rig.clock.advance(30 * MINUTE);
    expect(rig.states()).toEqual(["tiny-1 ready"]);
    expect(asked.token).toBe(0);
  });

  it("that says it has none is asked for a token, and left alone when that comes", async () => {
    const { rig, asked } = await busyRig({ load: () => ({ requests: 0, tokens: 5 }), generates: () => true });
    await rig.clock.advance(10 * MINUTE);
    expect(rig.states()).toEqual(["tiny-1 ready"]);
    expect(asked.token).toBe(3);
  });

  it("that says it has none, and gives no token either, is replaced", async () => {
    const { rig } = await busyRig({ load: () => ({ requests: 0, tokens: 5 }), generates: () => false });
    rig.world.condemned.add("tiny-1");
    await rig.clock.advance(4 * MINUTE);
    expect(rig.plane.fleet.lastFailure("tiny")?.cause).toBe("stalled");
  });

  it("is not asked any more once nothing is in flight", async () => {
    const { rig, asked } = await busyRig({ load: () => ({ requests: 1, tokens: 5 }) }, 20_000);
    await rig.clock.advance(20_000);
    const before = asked.load;
    expect(before).toBeGreaterThan(0);
    await rig.clock.advance(30_000);
    expect(asked.load).toBe(before);
  });

  it("is not asked any more after the gateway has stopped", async () => {
    const { rig, asked } = await busyRig({ load: () => ({ requests: 1, tokens: 5 }) });
    await rig.clock.advance(MINUTE);
    const before = asked.load;
    await Promise.all([rig.plane.stop(), rig.clock.advance(10 * MINUTE)]);
    expect(asked.load).toBe(before);
  });
});

describe("a process that is killed for memory", () => {
  async function hinted(script: Partial<Script>) {
    const { rig, request } = await busyRig({ load: () => undefined, ...script });
    const [container] = rig.world.containers.values();
    rig.world.condemned.add("tiny-1");
    rig.world.hint({ kind: "out_of_memory", id: container?.ref.id ?? "" });
    await rig.clock.advance(2_000);
    return { rig, request };
  }

  it("leaves its replica alone when that still generates", async () => {
    const { rig } = await hinted({ generates: () => true });
    expect(rig.states()).toEqual(["tiny-1 ready"]);
    expect(rig.plane.fleet.lastFailure("tiny")).toBeUndefined();
  });

  it("leads to a new replica when that does not answer", async () => {
    const { rig, request } = await hinted({ generates: () => false });
    expect(request.outcome).toBe("broken");
    expect(rig.plane.fleet.lastFailure("tiny")?.message).toContain("one of its processes was killed for memory");
  });

  it("leads to a new replica when that still had an answer on its way, and then no other", async () => {
    const answers = [true, false];
    const { rig } = await hinted({ generates: () => answers.shift() ?? false });
    expect(rig.states()).toEqual(["tiny-1 ready"]);
    await rig.clock.advance(10_000);
    expect(rig.plane.fleet.lastFailure("tiny")?.message).toContain("one of its processes was killed for memory");
  });

  it("explains an end within the next minute, though the runtime knows of no such cause", async () => {
    const exits: (boolean | undefined)[] = [];
    const diagnose = (_: unknown, exit?: { outOfMemory: boolean }) => {
      exits.push(exit?.outOfMemory);
      return { code: "crashed", advice: "" };
    };
    const rig = new Rig({ recipes: [makeRecipe()], diagnose, engines: { generates: () => new Promise(() => {}) } });
    const die = async (afterMs: number | undefined) => {
      rig.request("tiny");
      await rig.clock.advance(10_000);
      const [container] = rig.world.containers.values();
      if (afterMs !== undefined) rig.world.hint({ kind: "out_of_memory", id: container?.ref.id ?? "" });
      await rig.clock.advance(afterMs ?? 0);
      rig.world.exit(container?.ref.name ?? "", { code: 1, outOfMemory: false });
      await rig.clock.advance(20_000);
    };
    for (const afterMs of [1_000, undefined]) await die(afterMs);
    expect(exits).toEqual([true, false]);
  });

  it("does not keep the gateway from stopping while it is looked into", async () => {
    const clock = new FakeClock();
    const rig = new Rig({
      clock: clock,
      recipes: [makeRecipe()],
      engines: {
        generates: (_, __, signal) => sleep(clock, Infinity, signal).then(() => true),
      },
    });
    rig.request("tiny");
    await rig.clock.advance(5_000);
    const [container] = rig.world.containers.values();
    rig.world.hint({ kind: "out_of_memory", id: container?.ref.id ?? "" });
    await rig.clock.advance(1_000);
    let stopped = false;
    void rig.plane.stop().then(() => (stopped = true));
    await rig.clock.advance(1_000);
    expect(stopped).toBe(true);
  });
});

describe("an end after an outage of the runtime", () => {
  it("is no crash", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    rig.request("tiny");
    await rig.clock.advance(5_000);
    rig.world.outage = new Error("cannot reach Docker");
    await rig.clock.advance(30_000);
    rig.world.exit("tiny-1", { code: 137, outOfMemory: false });
    rig.world.outage = undefined;
    await rig.clock.advance(30_000);
    const messages = rig.events.since(0).map(({ message }) => message);
    expect(messages.join("\n")).toContain("ended while its runtime was away");
    expect(rig.plane.fleet.lastFailure("tiny")).toBeUndefined();
  });
});
