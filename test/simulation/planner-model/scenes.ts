// Random moments in the life of a fleet, as the planner is shown them: crowded, but such as can come about. No GPU is given out
// twice among those who are awake, and only what cannot be taken down is stuck.
import fc from "fast-check";
import type { Profile, Recipe } from "../../../src/catalog/recipe.ts";
import type { StartFailure } from "../../../src/control/fleet/failures.ts";
import { gpuKey, type GpuBlock } from "../../../src/control/fleet/gpus.ts";
import type { Wish } from "../../../src/control/fleet/wish.ts";
import { memoryShareOf } from "../../../src/control/planner/supply.ts";
import type { ReplicaState } from "../../../src/control/replica.ts";
import type { Demand, FleetSnapshot, ReplicaSnapshot, SchedulingPolicy } from "../../../src/control/snapshot.ts";
import type { Gpu } from "../../../src/runtime/driver.ts";
import { NOW, replica, requests, snapshot } from "../../support/make-snapshot.ts";
import { makeGpus, makeProfile, makeRecipe } from "../../support/make.ts";
import { isRoomFor } from "./booking.ts";

const MINUTE = 60_000;
const MODELS = ["a", "b", "c", "d"] as const;
const STATES: readonly ReplicaState[] = [
  ...(["ready", "ready", "ready", "ready", "sleeping", "sleeping", "sleeping"] as const),
  ...(["pending", "loading", "draining", "dozing", "waking", "stopping", "failed"] as const),
];
const ago = fc.constantFrom(0, 1_000, 14_000, MINUTE, 3 * MINUTE, 20 * MINUTE);
const seldom = fc.constantFrom(false, false, false, false, false, true);

const profile = fc.record({
  gpus: fc.constantFrom(1, 1, 1, 2, 2, 4, 0),
  share: fc.constantFrom(undefined, undefined, 0.2, 0.3, 0.5, 0.7),
  greedy: seldom,
});

/** A model: one recipe, of one profile or two. */
const model = fc.record({
  profiles: fc.array(profile, { minLength: 1, maxLength: 2 }),
  min: fc.constantFrom(0, 0, 0, 1, 2),
  more: fc.nat(2),
  hardware: fc.constantFrom(undefined, undefined, "MI300X", "MI250"),
});

const holder = fc.record({
  model: fc.nat(3),
  profile: fc.nat(1),
  state: fc.constantFrom(...STATES),
  from: fc.nat(7),
  inFlight: fc.constantFrom(0, 0, 0, 1, 3),
  idle: ago,
  ready: ago,
  since: ago,
  keepAliveMs: fc.constantFrom(Infinity, 5 * MINUTE, MINUTE),
  loadMs: fc.constantFrom(2_000, MINUTE, 5 * MINUTE),
  heat: fc.constantFrom(0, 0.01, 0.5, 2, 30),
  residualShare: fc.constantFrom(0, 0.04, 0.08, 0.3),
  sleeps: fc.boolean(),
  pinned: seldom,
  launched: seldom,
  stale: seldom,
  stuck: seldom,
  silent: seldom,
});

const wish: fc.Arbitrary<Wish | undefined> = fc.constantFrom(
  undefined,
  undefined,
  { atLeast: 2 },
  { name: "chosen" },
  { on: ["0000:01:00.0"] },
  { on: ["0000:02:00.0", "0000:01:00.0"] },
  { flags: ["--x"] },
  { pinned: true },
);

const want = fc.record({
  model: fc.nat(4),
  kind: fc.constantFrom("requests", "requests", "requests", "order", "wanted"),
  since: ago,
  credit: fc.constantFrom(-MINUTE, 0, MINUTE),
  waiting: fc.integer({ min: 1, max: 5 }),
  mayStart: fc.constantFrom(true, true, true, false),
  wish,
  gpus: fc.constantFrom(undefined, undefined, 1, 2),
});

const policy: fc.Arbitrary<SchedulingPolicy> = fc.record({
  minResidencyMs: fc.constantFrom(0, 5 * MINUTE),
  maxWaitMs: fc.constantFrom(MINUTE, 8 * MINUTE),
  maxStarts: fc.constantFrom(1, 2, 100),
  abortsUnwanted: fc.boolean(),
  sleepMemoryBytes: fc.constantFrom(0, 25, 1_000),
});

export interface SceneOptions {
  /** Most demands; one at a time can be judged exactly. */
  readonly mostDemands: number;
}

export function scenes({ mostDemands }: SceneOptions): fc.Arbitrary<FleetSnapshot> {
  const parts = fc.record({
    sizes: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.nat(3)),
    models: fc.array(model, { minLength: MODELS.length, maxLength: MODELS.length }),
    holders: fc.array(holder, { maxLength: 10 }),
    wants: fc.array(want, { minLength: mostDemands === 1 ? 1 : 0, maxLength: mostDemands }),
    failing: fc.array(seldom, { minLength: 4, maxLength: 4 }),
    blocked: fc.array(fc.constantFrom(...Array.from({ length: 8 }, () => undefined), "recovering", "quarantined"), {
      minLength: 8,
      maxLength: 8,
    }),
    scale: fc.array(fc.constantFrom(undefined, undefined, undefined, 1, 2, 3), { minLength: 4, maxLength: 4 }),
    policy,
    away: fc.constantFrom(...Array.from({ length: 20 }, () => "here"), "away", "unknown"),
  });
  return parts.map((scene) => {
    const gpus = machine(scene.sizes);
    const recipes = scene.models.map((one, index) => recipeOf(MODELS[index] ?? "a", one));
    const demands = demandsOf(scene.wants, recipes);
    return snapshot({
      recipes,
      demands,
      replicas: settle(scene.holders, { recipes, gpus, demands }),
      runtime: {
        gpus,
        known: scene.away !== "unknown",
        ...(scene.away === "away" ? { unavailable: "cannot reach Docker" } : {}),
      },
      failures: new Map(MODELS.flatMap((id, index) => (scene.failing[index] ? [[id, failureOf(id)]] : []))),
      blocks: new Map(gpus.flatMap(({ id }, index) => blockOf(id, scene.blocked[index]))),
      scale: new Map(
        MODELS.flatMap((id, index) => {
          const replicas = scene.scale[index];
          return replicas === undefined ? [] : [[id, { replicas, reason: "so it is" }]];
        }),
      ),
      policy: scene.policy,
    });
  });
}

function machine([first, second]: readonly [number, number]): readonly Gpu[] {
  return [...makeGpus(first), ...makeGpus(second, "MI250").map((gpu) => ({ ...gpu, id: `1${gpu.id}` }))];
}

type Value<A> = A extends fc.Arbitrary<infer V> ? V : never;

function recipeOf(id: string, { profiles, min, more, hardware }: Value<typeof model>): Recipe {
  const counts = new Map(profiles.map((one) => [one.gpus, one]));
  const sorted = [...counts.values()].sort((a, b) => a.gpus - b.gpus);
  return makeRecipe({
    id,
    profiles: sorted.map(({ gpus, share, greedy }, index) =>
      profileOf(gpus, { share, greedy, isDefault: index === 0 }),
    ),
    replicas: { min, max: Math.max(1, min + more) },
    hardware: hardware === undefined ? [] : [hardware],
  });
}

function profileOf(gpus: number, options: { share: number | undefined; greedy: boolean; isDefault: boolean }): Profile {
  const { share, greedy, isDefault } = options;
  if (share !== undefined && gpus > 0) return makeProfile(gpus, { gpuFraction: share, isDefault });
  return makeProfile(gpus, { isDefault, args: greedy ? ["--gpu-memory-utilization", "0.97"] : [] });
}

interface Stage {
  readonly recipes: readonly Recipe[];
  readonly gpus: readonly Gpu[];
  readonly demands: readonly Demand[];
}

/** Those of them for whom there is room, in turn. */
function settle(holders: readonly Value<typeof holder>[], stage: Stage): readonly ReplicaSnapshot[] {
  const there: ReplicaSnapshot[] = [];
  for (const [index, one] of holders.entries()) {
    const candidate = replicaOf(`r${index}`, one, stage);
    if (candidate !== undefined && isPossible(candidate, there, stage)) there.push(candidate);
  }
  return there;
}

/** Who sleeps was awake before, so that it may lie below whoever came later, and beside other sleepers. */
function isPossible(one: ReplicaSnapshot, there: readonly ReplicaSnapshot[], { recipes }: Stage): boolean {
  const recipe = recipes.find(({ id }) => id === one.recipeId);
  const memory = memoryShareOf(recipe?.profiles.find(({ id }) => id === one.profileId) ?? makeProfile(1));
  return one.gpus.every((gpu) =>
    isRoomFor(
      { ...one, memory },
      there.filter(({ gpus }) => gpus.includes(gpu)),
    ),
  );
}

function replicaOf(
  name: string,
  one: Value<typeof holder>,
  { recipes, gpus, demands }: Stage,
): ReplicaSnapshot | undefined {
  const recipe = recipes[one.model % recipes.length];
  const made = recipe?.profiles[one.profile % recipe.profiles.length];
  if (recipe === undefined || made === undefined) return undefined;
  const suitable = gpus.filter(({ product }) => recipe.hardware.length === 0 || recipe.hardware.includes(product));
  const first = suitable[one.from % Math.max(1, suitable.length)];
  const alike = suitable.filter(({ product }) => product === first?.product);
  if (alike.length < made.gpus) return undefined;
  const { state } = one;
  const serves = state === "ready" || state === "draining";
  const isUnstoppable = state === "stopping" || state === "failed";
  const waiters = demands.find(({ kind, request }) => kind === "requests" && request.model === recipe.model);
  const canSleep = one.sleeps || state === "sleeping" || state === "dozing" || state === "waking";
  return replica(recipe.model, {
    name,
    state,
    profileId: made.id,
    gpus: Array.from({ length: made.gpus }, (_, index) => alike[(one.from + index) % alike.length]?.id ?? ""),
    responsive: !(one.silent && state === "ready"),
    inFlight: serves ? one.inFlight : 0,
    waiting: waiters?.waiting ?? 0,
    idleSince: NOW - one.idle,
    readyAt: NOW - Math.max(one.ready, one.idle),
    stateSince: NOW - one.since,
    keepAliveMs: one.keepAliveMs,
    loadMs: one.loadMs,
    heat: one.heat,
    share: made.gpuFraction ?? 1,
    residualShare: canSleep ? one.residualShare : 0,
    ...(canSleep ? { sleep: { afterMs: 2 * MINUTE, level: 1, hostBytes: 10 } } : {}),
    pinned: one.pinned,
    launched: one.launched,
    stale: one.stale,
    stuck: one.stuck && isUnstoppable,
  });
}

/** One crowd of requests a model; orders and what ought to run, as many as there are. */
function demandsOf(wants: readonly Value<typeof want>[], recipes: readonly Recipe[]): readonly Demand[] {
  const all = wants.map((one, index) => demandOf(one, index, recipes));
  const byId = new Map(all.map((demand) => [demand.id, demand]));
  return [...byId.values()].sort((a, b) => a.rank - b.rank);
}

function demandOf(one: Value<typeof want>, index: number, recipes: readonly Recipe[]): Demand {
  const id = recipes[one.model]?.id ?? "unknown";
  const since = NOW - one.since;
  const { waiting, mayStart, gpus } = one;
  if (one.kind === "requests") return requests(id, { since, rank: since - one.credit, waiting, mayStart });
  const size = gpus === undefined ? {} : { gpus };
  const asked = one.wish === undefined ? {} : { wish: one.wish };
  const base = { since, waiting: 1, mayStart: true, ...asked } as const;
  if (one.kind === "order")
    return { ...base, id: `order:${index}`, kind: "order", why: "order", request: { model: id, ...size }, rank: since };
  const request = { model: id, recipe: id, ...size };
  return { ...base, id: `wanted:${index}`, kind: "wanted", why: "preload", request, rank: since + 2 ** 40 };
}

function failureOf(id: string): StartFailure {
  return { cause: "crashed", message: `${id} crashed`, advice: "", lastLines: [], until: NOW + 7_000, count: 1 };
}

function blockOf(gpu: string, status: string | undefined): readonly (readonly [string, GpuBlock])[] {
  if (status !== "recovering" && status !== "quarantined") return [];
  return [[gpuKey("docker", gpu), { status, reason: "so it is" }]];
}
