// One running copy of a recipe as the control plane sees it, and the one table of what may follow what.
//
//   pending    decided, GPUs reserved; the driver has not been asked yet
//   pulling    the driver fetches the image
//   starting   the container or process is being made
//   loading    it runs; its engine loads weights, compiles, warms up
//   ready      it answers; requests are routed to it
//   draining   it finishes what it has and takes no more
//   dozing     its engine is being put to sleep; it takes no requests
//   sleeping   its engine sleeps, and has given back most of the memory of its GPUs
//   waking     its engine is being woken
//   stopping   the driver takes it down; its GPUs are still held
//   failed     it died or never became ready; what is left of it is being cleaned up
//   gone       nothing of it is left; its GPUs are free
//
// An adopted replica (found running after our own restart) enters at `loading`.
import type { Profile, Recipe, RuntimeName } from "../catalog/recipe.ts";
import type { BackendRef } from "../runtime/driver.ts";
import type { Blueprint } from "./fleet/blueprint.ts";
import type { Ejection } from "./fleet/ejection.ts";
import type { Lent, SharedQueue } from "./fleet/lent.ts";
import { StartProgress } from "./launcher/phases.ts";
import type { StopCause } from "./planner/why.ts";

export type ReplicaState =
  | "pending"
  | "pulling"
  | "starting"
  | "loading"
  | "ready"
  | "draining"
  | "dozing"
  | "sleeping"
  | "waking"
  | "stopping"
  | "failed"
  | "gone";

const NEXT: Readonly<Record<ReplicaState, readonly ReplicaState[]>> = {
  pending: ["pulling", "starting", "failed", "stopping"],
  pulling: ["starting", "failed", "stopping"],
  starting: ["loading", "failed", "stopping"],
  // Straight to sleep: one that was found running may be asleep.
  loading: ["ready", "sleeping", "failed", "stopping"],
  ready: ["draining", "dozing", "stopping", "failed"],
  draining: ["stopping", "failed"],
  dozing: ["sleeping", "failed", "stopping"],
  sleeping: ["waking", "failed", "stopping"],
  waking: ["ready", "failed", "stopping"],
  stopping: ["gone"],
  failed: ["gone"],
  gone: [],
};

export interface ReplicaIdentity {
  readonly name: string;
  readonly model: string;
  readonly recipeId: string;
  readonly recipeHash: string;
  readonly profileId: string;
  readonly runtime: RuntimeName;
  /** GPU ids it holds until it is gone. */
  readonly gpus: readonly string[];
  /** Idle time before unload that its launch asked for; absent: the recipe's or the config's. */
  readonly keepAliveMs?: number;
  /** What its launch chose by itself, and a restart keeps; absent: nothing. */
  readonly chosen?: readonly ("name" | "gpus")[];
  /** Engine flags that its launch added; absent: none. */
  readonly flags?: readonly string[];
  /** Share of each of its GPUs; absent: the whole of them. */
  readonly gpuFraction?: number;
  /** An operator launched it: should it die, it is started again. */
  readonly launched?: true;
  /** Its launch said that it is neither evicted nor unloaded for being idle. */
  readonly pinned?: true;
  readonly adopted: boolean;
}

/** How a replica comes into being. */
export interface Entry {
  readonly state: "pending" | "loading";
  readonly reason: string;
  /** Milliseconds since the Unix epoch; now, unless it was running before. */
  readonly startedAt?: number | undefined;
}

/** How a replica sleeps, as far as that is known. */
export interface Nap {
  readonly level?: 1 | 2;
  /** Share of the memory of each of its GPUs that it keeps. */
  readonly residualShare?: number;
  /** Bytes of the host's memory that it takes. */
  readonly hostBytes?: number;
}

/** After so many it is no longer expected to go soon. */
const MOST_FAILED_STOPS = 3;

/** Mutable, and mutated by the fleet alone, but for `progress`, which its start keeps. Times are `Clock.now()` values. */
export class Replica {
  readonly identity: ReplicaIdentity;
  /** Absent for an adopted replica whose recipe is no longer in the catalogue: it serves, and goes when idle. */
  readonly recipe: Recipe | undefined;
  readonly profile: Profile | undefined;
  /** Its recipe is gone from the catalogue, or has changed since it started. */
  readonly isStale: boolean;
  readonly createdAt: number;
  /** Wall clock, for people. */
  readonly startedAtWall: number;
  /** How its start goes, or went; kept by its launcher. */
  readonly progress: StartProgress;
  /** What its launch spec runs; undefined where there are no images, and for one that was adopted. */
  image: string | undefined;
  /** The id of what it runs, whatever its tag names by now; kept by its reconciler. */
  imageId: string | undefined;
  #state: ReplicaState;
  /** Why it is in this state, or what it is doing. */
  reason: string;
  ref: BackendRef | undefined;
  /** When the ref became known: a list begun earlier says nothing about it. */
  refSince = 0;
  address: URL | undefined;
  readyAt: number | undefined;
  readyAtWall: number | undefined;
  #idleSince: number;
  /** Requests that hold a lease of the fleet. */
  leases = 0;
  /** What other threads have of it; undefined where they never had anything. */
  lent: Lent | undefined;
  /** Which of all leases was its last; breaks ties in balancing. */
  lastGrant = 0;
  /** Most requests at a time while it is new; see `Ramps`. */
  rampLimit = Infinity;
  /** What is held against it since its requests failed; see `Ejections`. */
  ejection: Ejection | undefined;
  /** Whether others get its requests because of that. */
  isLeftOut = false;
  /** False while it was found frozen or unreachable; such a replica gets no new requests. */
  responsive = true;
  unresponsiveSince: number | undefined;
  stopCause: StopCause | undefined;
  /** How often its runtime was asked in vain to take it down; kept by its reaper. */
  failedStops = 0;
  failureCause: string | undefined;
  /** Idle time before unload that a launch asked for, its own or a later one; undefined: the recipe's or the config's. */
  keepAliveMs: number | undefined;
  /** Neither evicted nor unloaded for being idle. */
  pinned: boolean;
  /** When it came to its present state. */
  stateSince: number;
  /** How long its load took; undefined for one that was found running. */
  loadMs: number | undefined;
  /** How long its last wake-up took; undefined before the first. */
  wakeMs: number | undefined;
  /** How deep it sleeps; undefined where another gateway put it to sleep. */
  sleepLevel: 1 | 2 | undefined;
  /** Share of the memory of its GPUs that it keeps while it sleeps; undefined before that was seen. */
  residualShare: number | undefined;
  /** Bytes of the host's memory that it takes while it sleeps; undefined before that was seen. */
  asleepHostBytes: number | undefined;
  readonly #gone = Promise.withResolvers<void>();

  constructor(
    identity: ReplicaIdentity,
    blueprint: Blueprint,
    start: Entry & { readonly now: number; readonly wallNow: number },
  ) {
    this.identity = identity;
    this.recipe = blueprint.recipe;
    this.profile = blueprint.profile;
    this.isStale = blueprint.recipe === undefined || blueprint.recipe.hash !== identity.recipeHash;
    this.#state = start.state;
    this.reason = start.reason;
    this.createdAt = start.now;
    this.progress = new StartProgress(start.now);
    this.startedAtWall = start.startedAt ?? start.wallNow;
    this.keepAliveMs = identity.keepAliveMs;
    this.#idleSince = start.now;
    this.pinned = identity.pinned ?? blueprint.recipe?.pinned ?? false;
    this.stateSince = start.now;
  }

  /** Requests that it has, whoever gave them to it. */
  get inFlight(): number {
    return this.leases + (this.lent?.inFlight ?? 0);
  }

  /** What other threads sent it; undefined where there are none. */
  get queue(): SharedQueue | undefined {
    return this.lent?.queue;
  }

  /** When it last became free of requests; meaningful while `inFlight` is 0. */
  get idleSince(): number {
    return Math.max(this.#idleSince, this.lent?.usedAt ?? -Infinity);
  }

  set idleSince(now: number) {
    this.#idleSince = now;
  }

  get name(): string {
    return this.identity.name;
  }

  get model(): string {
    return this.identity.model;
  }

  get state(): ReplicaState {
    return this.#state;
  }

  /** The only way to change the state; throws on an edge that is not in the table. */
  transition(to: ReplicaState, reason: string, now: number): void {
    if (!NEXT[this.#state].includes(to)) {
      throw new Error(`replica ${this.name}: illegal transition from ${this.#state} to ${to} (${reason})`);
    }
    this.#state = to;
    this.stateSince = now;
    this.reason = reason;
    if (to === "gone") this.#gone.resolve();
  }

  /** It answers, be it after its load or after its sleep, from which it is yet to be moved to `ready`. */
  answers(now: number, wallNow: number): void {
    const { loadingSince } = this.progress;
    if (this.#state === "loading" && !this.identity.adopted && loadingSince !== undefined)
      this.loadMs = now - loadingSince;
    if (this.#state === "waking") this.wakeMs = now - this.stateSince;
    this.readyAt = now;
    this.readyAtWall = wallNow;
    this.idleSince = now;
  }

  /** It runs, and this is where. */
  located(ref: BackendRef, address: URL | undefined, now: number): void {
    this.ref = ref;
    this.refSince = now;
    this.address = address;
  }

  /** It sleeps, and is yet to be moved to `sleeping`. What was seen before counts where nothing is seen now. */
  sleeps({ level, residualShare, hostBytes }: Nap): void {
    this.sleepLevel = level;
    if (residualShare !== undefined) this.residualShare = residualShare;
    if (hostBytes !== undefined) this.asleepHostBytes = hostBytes;
  }

  /** Idle time before something becomes of it, where it is unloaded after `keepAliveMs`. */
  idleMs(keepAliveMs: number): number {
    return this.isStale ? 0 : Math.min(keepAliveMs, this.recipe?.sleep?.afterMs ?? Infinity);
  }

  /** Resolves when nothing of it is left. */
  get whenGone(): Promise<void> {
    return this.#gone.promise;
  }

  /** Coming up: requests wait for it rather than start another. */
  get isStarting(): boolean {
    return isStarting(this.#state);
  }

  /** Whether it takes requests, be it that one more fits or not. */
  get isServing(): boolean {
    return this.#state === "ready" && this.responsive;
  }

  /** Nothing its runtime does makes it go: its GPUs do not come back before somebody sees to it. */
  get isStuck(): boolean {
    return this.failedStops >= MOST_FAILED_STOPS;
  }

  get hasRoom(): boolean {
    const { inFlight, rampLimit } = this;
    return (
      this.isServing && !this.isLeftOut && inFlight < rampLimit && inFlight < (this.recipe?.maxInFlight ?? Infinity)
    );
  }
}

export function isStarting(state: ReplicaState): boolean {
  return state === "pending" || state === "pulling" || state === "starting" || state === "loading";
}

/** Not on its way out yet. */
export function isStoppable(state: ReplicaState): boolean {
  return isStarting(state) || state === "ready" || state === "dozing" || state === "sleeping" || state === "waking";
}

/** On its way out: it will give its GPUs back without being asked again. */
export function isLeaving(state: ReplicaState): boolean {
  return state === "draining" || state === "stopping" || state === "failed";
}
