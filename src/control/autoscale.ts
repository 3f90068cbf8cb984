// Looks every few seconds at what the replicas of each model have to do, and says where there should be more or fewer of them.
// What is done about it is the planner's business.
import type { Recipe } from "../catalog/recipe.ts";
import type { Clock } from "../lib/clock.ts";
import { startLoop, type Loop } from "../lib/loop.ts";
import type { Logger } from "../telemetry/logger.ts";
import { meantLoad, type ScaleRule } from "./autoscale/desired.ts";
import { ScaleTrack, type Sample, type ScaleWindows } from "./autoscale/scale-track.ts";
import type { Fleet } from "./fleet.ts";
import type { Replica } from "./replica.ts";
import type { ScaleTarget } from "./snapshot.ts";

type Watched = Pick<Fleet, "demand" | "reconsider" | "replicas">;

/** Between two samples: as often as a window needs to be seen in detail, within these bounds. */
const MOST_OFTEN_MS = 1_000;
const LEAST_OFTEN_MS = 5_000;
const SAMPLES_PER_WINDOW = 15;

export class Autoscaler {
  readonly #clock: Clock;
  readonly #windows: ScaleWindows & { readonly everyMs: number };
  readonly #tracks = new Map<string, ScaleTrack>();
  #targets: ReadonlyMap<string, ScaleTarget> = new Map();

  constructor(clock: Clock, windows: ScaleWindows) {
    const everyMs = Math.min(LEAST_OFTEN_MS, Math.max(MOST_OFTEN_MS, windows.upMs / SAMPLES_PER_WINDOW));
    this.#clock = clock;
    this.#windows = { ...windows, everyMs };
  }

  /** By model; only those that should have more or fewer replicas than they have. */
  get targets(): ReadonlyMap<string, ScaleTarget> {
    return this.#targets;
  }

  /** Until the next look. */
  get pauseMs(): number {
    return this.#tracks.size === 0 ? LEAST_OFTEN_MS : this.#windows.everyMs;
  }

  /** Takes a sample of each model that can have another number of replicas. */
  look(fleet: Watched): void {
    const byModel = Map.groupBy(fleet.replicas.all().filter(isCurrent), ({ model }) => model);
    const targets = new Map<string, ScaleTarget>();
    for (const model of this.#tracks.keys()) if (!byModel.has(model)) this.#tracks.delete(model);
    for (const [model, replicas] of byModel) {
      const target = this.#judge(model, replicas, fleet);
      if (target !== undefined) targets.set(model, target);
    }
    const isNews = !isSame(targets, this.#targets);
    this.#targets = targets;
    if (isNews) fleet.reconsider();
  }

  #judge(model: string, replicas: readonly Replica[], fleet: Watched): ScaleTarget | undefined {
    const recipe = replicas.find((replica) => replica.recipe !== undefined)?.recipe;
    const rule = recipe === undefined ? undefined : ruleOf(recipe, replicas);
    const current = replicas.length;
    if (rule === undefined || (current <= rule.floor && rule.max <= current)) {
      this.#tracks.delete(model);
      return undefined;
    }
    const now = this.#clock.now();
    const track = this.#tracks.get(model) ?? new ScaleTrack(this.#windows, current, now);
    this.#tracks.set(model, track);
    if (replicas.some(({ isServing }) => isServing))
      return track.take(sampleOf(model, replicas, fleet, now), rule, now);
    track.rest(current, now);
    return undefined;
  }
}

/** Starts at once; each change of a target makes the fleet's plan be made anew. */
export function startAutoscaler(
  autoscaler: Autoscaler,
  fleet: Watched,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): Loop {
  return startLoop({
    clock,
    everyMs: () => autoscaler.pauseMs,
    run: async () => autoscaler.look(fleet),
    onError: (error) => logger.error({ err: error }, "looking for too few or too many replicas failed"),
  });
}

/** One that comes up counts, however long that takes; one that leaves or sleeps does not. */
function isCurrent(replica: Replica): boolean {
  return replica.isStarting || replica.state === "waking" || replica.isServing;
}

/** Those that somebody wanted stay, whatever there is to do. */
function ruleOf(recipe: Recipe, replicas: readonly Replica[]): ScaleRule {
  const { min, max } = recipe.replicas;
  const wanted = replicas.filter(({ pinned, identity }) => pinned || identity.launched).length;
  return { target: meantLoad(recipe), floor: Math.max(1, min, wanted), max };
}

function sampleOf(model: string, replicas: readonly Replica[], { demand }: Watched, now: number): Sample {
  const inFlight = replicas.reduce((sum, replica) => sum + replica.inFlight, 0);
  const isFull = replicas.every((replica) => replica.isServing && !replica.hasRoom);
  const since = Math.max(demand.waitingSince(model) ?? Infinity, ...replicas.map(({ readyAt = 0 }) => readyAt));
  return {
    current: replicas.length,
    load: inFlight + demand.waiting(model),
    starvedMs: isFull && since < now ? now - since : 0,
  };
}

function isSame(some: ReadonlyMap<string, ScaleTarget>, others: ReadonlyMap<string, ScaleTarget>): boolean {
  return (
    some.size === others.size && [...some].every(([model, { replicas }]) => others.get(model)?.replicas === replicas)
  );
}
