// More and fewer replicas by what there is to do: the whole control plane on virtual time, under clients that come and go.
import { describe, expect, it } from "vitest";
import type { Recipe } from "../../src/catalog/recipe.ts";
import { makeGpus, makeRecipe } from "../support/make.ts";
import { Rig, type RigOptions } from "../support/make-plane.ts";
import type { TestRequest } from "../support/test-request.ts";

const MINUTE = 60_000;
const never = new AbortController().signal;

/** So many clients that each send their next request when the last one was answered. */
class Crowd {
  readonly requests: TestRequest[] = [];
  readonly #rig: Rig;
  readonly #model: string;
  #wanted = 0;
  #busy = 0;

  constructor(rig: Rig, model = "tiny") {
    this.#rig = rig;
    this.#model = model;
  }

  async be(count: number, ms: number): Promise<void> {
    this.#wanted = count;
    while (this.#busy < this.#wanted) this.#send();
    await this.#rig.clock.advance(ms);
  }

  #send(): void {
    this.#busy += 1;
    const onEnd = () => {
      this.#busy -= 1;
      // A turn later: answers are not given within answers.
      queueMicrotask(() => this.#busy < this.#wanted && this.#send());
    };
    // Not all alike, so that they do not march in step.
    const serveMs = 1_500 + ((this.requests.length * 137) % 1_000);
    this.requests.push(this.#rig.request(this.#model, { serveMs, onEnd }));
  }

  get failed(): readonly TestRequest[] {
    return this.requests.filter(({ outcome }) => outcome === "refused" || outcome === "broken");
  }
}

function scalable(overrides: Partial<Recipe> = {}, options: Partial<RigOptions> = {}): Rig {
  const recipe = { ...makeRecipe({ gpus: 1 }), replicas: { min: 0, max: 6, target: 16 }, ...overrides };
  const settings = { keepAliveMs: 10 * MINUTE, ...options.settings };
  const rig = new Rig({ gpus: makeGpus(8), ...options, recipes: [recipe, ...(options.recipes ?? [])], settings });
  rig.world.pace.loadMs = 20_000;
  return rig;
}

const serving = (rig: Rig) => rig.plane.fleet.replicas.ofModel("tiny").filter(({ isServing }) => isServing).length;

function decisions(rig: Rig): Record<string, number> {
  const types = rig.events.since(0).flatMap(({ type }) => /^decision:((start|stop):.*)/.exec(type)?.[1] ?? []);
  return Object.fromEntries([...Map.groupBy(types, (type) => type)].map(([type, all]) => [type, all.length]));
}

describe("a model whose load comes and goes", () => {
  it.each([
    ["whose replicas take what comes", {}],
    ["whose replicas take no more than they are meant for", { maxInFlight: 16 }],
  ] as const)(
    "%s, has more replicas within two windows and fewer in the end, and nobody notices",
    async (_, overrides) => {
      const rig = scalable(overrides);
      const crowd = new Crowd(rig);
      await crowd.be(12, 5 * MINUTE);
      expect(rig.world.starts).toHaveLength(1);
      await crowd.be(44, 30_000);
      expect(rig.world.starts).toHaveLength(3);
      await crowd.be(44, 10 * MINUTE);
      expect(serving(rig)).toBe(3);
      await crowd.be(12, 15 * MINUTE);
      expect(serving(rig)).toBe(1);
      expect(rig.world.starts).toHaveLength(3);
      expect(decisions(rig)).toEqual({ "start:requests": 1, "start:scale-out": 2, "stop:scaled-in": 2 });
      expect(rig.events.since(0).filter(({ type }) => type === "replica:draining")).toHaveLength(2);
      expect(crowd.requests.length).toBeGreaterThan(10_000);
      expect(crowd.failed).toEqual([]);
      expect(rig.world.violations).toEqual([]);
    },
  );

  it("has no more replicas than it may, and as few as it must", async () => {
    const rig = scalable({ replicas: { min: 2, max: 3, target: 4 } });
    const crowd = new Crowd(rig);
    await crowd.be(100, 3 * MINUTE);
    expect(serving(rig)).toBe(3);
    await crowd.be(1, 20 * MINUTE);
    expect(serving(rig)).toBe(2);
    expect(crowd.failed).toEqual([]);
  });

  it("is one start, however many ask for it first and however long it loads", async () => {
    const rig = scalable();
    rig.world.pace.loadMs = 5 * MINUTE;
    const requests = rig.requests("tiny", 500, { serveMs: 100 });
    await rig.clock.advance(10 * MINUTE);
    expect(requests.filter(({ outcome }) => outcome === "served")).toHaveLength(500);
    expect(rig.world.starts).toHaveLength(1);
  });

  it("starts none twice while one takes long to load", async () => {
    const rig = scalable({ replicas: { min: 0, max: 2, target: 16 } });
    const crowd = new Crowd(rig);
    await crowd.be(1, MINUTE);
    rig.world.pace.loadMs = 4 * MINUTE;
    await crowd.be(30, 10 * MINUTE);
    expect(serving(rig)).toBe(2);
    expect(rig.world.starts).toHaveLength(2);
  });

  it("gets another replica where somebody waits for long, little as there is to do on average", async () => {
    const rig = scalable({ maxInFlight: 2, replicas: { min: 0, max: 4, target: 2 } });
    rig.request("tiny", { serveMs: 30 * MINUTE });
    rig.request("tiny", { serveMs: 30 * MINUTE });
    await rig.clock.advance(MINUTE);
    const late = rig.request("tiny");
    await rig.clock.advance(MINUTE);
    expect(late.outcome).toBe("served");
    expect(rig.world.starts).toHaveLength(2);
  });

  it("is not given another replica again and again while one has its hands full for long", async () => {
    const sleep = { afterMs: 10_000, level: 1 } as const;
    for (const overrides of [{}, { sleep }]) {
      const rig = scalable({ replicas: { min: 0, max: 2, target: 2 }, keepAliveMs: MINUTE, ...overrides });
      rig.requests("tiny", 6, { serveMs: 30 * MINUTE });
      await rig.clock.advance(29 * MINUTE);
      expect(serving(rig)).toBe(2);
      expect(decisions(rig)).toEqual({ "start:requests": 1, "start:scale-out": 1 });
      await rig.clock.advance(5 * MINUTE);
      expect(rig.states()).toEqual([]);
    }
  });

  it("keeps the replicas that an operator wanted", async () => {
    const rig = scalable();
    const launch = rig.plane.operator.launch({ model: "tiny", replicas: 3 }, never);
    await rig.clock.advance(MINUTE);
    await launch;
    const crowd = new Crowd(rig);
    await crowd.be(3, 20 * MINUTE);
    expect(serving(rig)).toBe(3);
  });

  it("takes no GPUs from others that are in use", async () => {
    const rig = scalable({}, { gpus: makeGpus(2), recipes: [makeRecipe({ id: "other", gpus: 1 })] });
    const [mine, others] = [new Crowd(rig), new Crowd(rig, "other")];
    await others.be(2, MINUTE);
    await mine.be(40, 10 * MINUTE);
    expect(serving(rig)).toBe(1);
    expect([mine.failed, others.failed, rig.world.violations]).toEqual([[], [], []]);
    await others.be(0, 20 * MINUTE);
    expect(serving(rig)).toBe(2);
  });

  it("says what it should have, and why", async () => {
    const rig = scalable({}, { gpus: makeGpus(1) });
    await new Crowd(rig).be(40, MINUTE);
    const target = rig.plane.fleet.snapshot().scale.get("tiny");
    expect(target?.replicas).toBe(2);
    expect(target?.reason).toMatch(/requests per replica over the last 15 ?s, where 16 are meant/);
  });
});
