// A crowded machine of any size: a real fleet, brought to the state to be measured, in which nothing is decided.
import type { Recipe } from "../../src/catalog/recipe.ts";
import type { Replica } from "../../src/control/replica.ts";
import { FakeClock } from "../../test/support/clock.ts";
import { Rig } from "../../test/support/make-plane.ts";
import { makeGpus, makeProfile, makeRecipe } from "../../test/support/make.ts";

export interface Size {
  readonly gpus: number;
  /** Half of them run, the other half is waited for. */
  readonly models: number;
  readonly replicas: number;
  readonly waiters: number;
}

/** What the replicas are doing. */
export interface Mix {
  readonly name: string;
  /** One sentence. */
  readonly about: string;
  /** Share of a GPU per replica; 1: each GPU has one, and the other replicas have none. */
  readonly fraction: number;
  /** Over which those who wait have come: at its end the first of them have been patient, or not yet. */
  readonly arrivalMs: number;
  /** What becomes of the nth replica. */
  stateOf(index: number): "busy" | "idle" | "loading" | "sleeping";
}

const RESIDUAL_SHARE = 0.05;
const SETTLE_MS = 5_000;
const CLIENTS = 20;
const UNBOUNDED = { maxPerModel: Infinity, maxTotal: Infinity, maxBytes: Infinity };

/** Resolves with the rig, and with how to leave it. */
export async function crowd(size: Size, mix: Mix): Promise<{ readonly rig: Rig; readonly leave: () => Promise<void> }> {
  const clock = new FakeClock({ turns: 1 });
  const [running, wanted] = recipesOf(size, mix);
  let isLoadingForEver = false;
  const rig = new Rig({
    recipes: [...running, ...wanted],
    gpus: makeGpus(size.gpus),
    clock,
    settings: { waiters: UNBOUNDED, keepAliveMs: Infinity },
    engines: { awaitReady: () => (isLoadingForEver ? new Promise(() => {}) : Promise.resolve()) },
    plan: () => ({ actions: [], holds: new Map(), wakeAt: undefined }),
  });
  rig.world.pace.logMs = Infinity;
  await clock.advance(SETTLE_MS);
  const [loading, others] = split(size.replicas, (index) => mix.stateOf(index) === "loading");
  const replicas = others.map((index) => ({ index, replica: begin(rig, size, { mix, index, running }) }));
  await clock.advance(SETTLE_MS);
  isLoadingForEver = true;
  for (const index of loading) begin(rig, size, { mix, index, running });
  await clock.advance(SETTLE_MS);
  const leaving = new AbortController();
  for (const { index, replica } of replicas) settle(rig, replica, mix.stateOf(index), leaving.signal);
  await arrive(rig, { size, wanted, arrivalMs: mix.arrivalMs, signal: leaving.signal });
  return {
    rig,
    leave: async () => {
      leaving.abort();
      rig.boot();
      void rig.plane.stop();
      await clock.advance(SETTLE_MS);
    },
  };
}

function recipesOf(
  { models }: Size,
  { fraction }: Mix,
): readonly [running: readonly Recipe[], wanted: readonly Recipe[]] {
  const share = fraction === 1 ? {} : { gpuFraction: fraction };
  const recipes = Array.from({ length: models }, (_, index) =>
    makeRecipe({ id: `model-${index}`, profiles: [makeProfile(1, share)], replicas: { min: 0, max: 1_000 } }),
  );
  return [recipes.slice(0, models / 2), recipes.slice(models / 2)];
}

function begin(
  rig: Rig,
  { gpus }: Size,
  { mix, index, running }: { readonly mix: Mix; readonly index: number; readonly running: readonly Recipe[] },
): Replica {
  const recipe = running[index % running.length];
  const [profile] = recipe?.profiles ?? [];
  if (recipe === undefined || profile === undefined) throw new Error("no model runs");
  const gpu = rig.world.gpus[index % gpus];
  const isPlaced = gpu !== undefined && (mix.fraction < 1 || index < gpus);
  const start = { recipe, profile, runtime: "docker", gpus: isPlaced ? [gpu.id] : [] } as const;
  return rig.plane.fleet.begin(start, "to be measured");
}

function settle(rig: Rig, replica: Replica, state: ReturnType<Mix["stateOf"]>, signal: AbortSignal): void {
  const { fleet } = rig.plane;
  if (state === "busy") void fleet.slots.acquire(replica.model, { bodyBytes: 1 }, signal);
  if (state !== "sleeping") return;
  fleet.doze(replica, "to be measured");
  fleet.asleep(replica, { residualShare: RESIDUAL_SHARE, hostBytes: 0 });
}

/** One after the other, over the models that nobody serves. */
async function arrive(
  rig: Rig,
  {
    size,
    wanted,
    arrivalMs,
    signal,
  }: {
    readonly size: Size;
    readonly wanted: readonly Recipe[];
    readonly arrivalMs: number;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const rounds = Math.ceil(size.waiters / wanted.length);
  for (let round = 0; round < rounds; round++) {
    for (const { model } of wanted) {
      const waiting = rig.plane.fleet.slots.acquire(
        model,
        { bodyBytes: 1, client: `client-${round % CLIENTS}` },
        signal,
      );
      // It ends with the measurement.
      Promise.resolve(waiting).catch(() => undefined);
    }
    await rig.clock.advance(arrivalMs / rounds);
  }
}

function split(count: number, belongs: (index: number) => boolean): readonly [yes: number[], no: number[]] {
  const all = Array.from({ length: count }, (_, index) => index);
  return [all.filter(belongs), all.filter((index) => !belongs(index))];
}
