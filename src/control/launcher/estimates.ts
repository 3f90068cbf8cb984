// How long starts and wake-ups take, learned from the last ones of the same recipe, profile and image. A cache: losing it only
// costs precision, so nothing waits for it and nothing fails because of it.
import { z } from "zod";
import type { Clock } from "../../lib/clock.ts";
import type { StartProgress } from "./phases.ts";
import type { Replica } from "../replica.ts";

/** Where they outlive the gateway. */
export interface EstimateStore {
  /** Undefined when nothing was stored yet. */
  load(): Promise<unknown>;
  save(value: unknown): Promise<void>;
}

export interface EstimatesDeps {
  readonly clock: Clock;
  /** Absent: they are forgotten with the process. */
  readonly store?: EstimateStore | undefined;
  /** Told once per kind of trouble with the store. */
  onProblem?(problem: string, error: unknown): void;
}

/** What is known about when a replica will be ready. */
export type Outlook =
  | { readonly kind: "left"; readonly ms: number }
  /** It takes longer than any start before it. */
  | { readonly kind: "overdue" }
  | { readonly kind: "unknown" };

const KEPT = 5;
const MOST_ENTRIES = 500;
/** Before that, the speed of a pull says little. */
const TELLING_PULL_MS = 3_000;

/** No start that comes to its end takes longer. */
const LONGEST_MS = 7 * 24 * 3_600_000;

const samples = z.array(z.number().min(0).max(LONGEST_MS)).max(KEPT);
const fileSchema = z.object({
  version: z.literal(1),
  starts: z
    .array(
      z.object({
        key: z.string(),
        model: z.string().default(""),
        pullMs: samples,
        loadMs: samples,
        wakeMs: samples.default([]),
      }),
    )
    .max(MOST_ENTRIES),
});

interface Times {
  readonly pullMs: readonly number[];
  readonly loadMs: readonly number[];
  readonly wakeMs: readonly number[];
}

interface Seen extends Times {
  readonly model: string;
}

export class Estimates {
  readonly #deps: EstimatesDeps;
  /** The one that was used longest ago stands first. */
  #seen = new Map<string, Seen>();
  /** The key that was used last, by model and by recipe and profile. */
  readonly #newest = new Map<string, string>();
  readonly #troubles = new Set<string>();
  #saving: Promise<void> | undefined;
  #isDirty = false;
  readonly #loaded: Promise<void>;

  constructor(deps: EstimatesDeps) {
    this.#deps = deps;
    this.#loaded = this.#load();
  }

  /** A replica became ready: what its start took is remembered. */
  record(replica: Replica): void {
    const { progress } = replica;
    const { loadingSince } = progress;
    if (loadingSince === undefined) return;
    const now = this.#deps.clock.now();
    const pulled = progress.times(now).find(({ phase }) => phase === "pulling");
    this.#learn(replica, { loadMs: now - loadingSince, ...(pulled === undefined ? {} : { pullMs: pulled.ms }) });
  }

  /** A replica was woken: what that took is remembered. */
  recordWake(replica: Replica): void {
    if (replica.wakeMs !== undefined) this.#learn(replica, { wakeMs: replica.wakeMs });
  }

  outlook(replica: Replica): Outlook {
    const { progress } = replica;
    const seen = this.#seen.get(keyOf(replica));
    const now = this.#deps.clock.now();
    if (replica.state === "waking") return outlookOf(seen?.wakeMs ?? [], now - replica.stateSince);
    if (!replica.isStarting || seen === undefined || seen.loadMs.length === 0) return { kind: "unknown" };
    if (progress.phase === "pulling") {
      const pullMs = pullLeftMs(progress, seen, now);
      return pullMs === undefined ? { kind: "unknown" } : { kind: "left", ms: pullMs + median(seen.loadMs) };
    }
    const elapsedMs = now - (progress.loadingSince ?? now);
    const ms = Math.max(leftOf(seen.loadMs, elapsedMs), progress.barLeftMs(now) ?? 0);
    return ms > 0 ? { kind: "left", ms } : { kind: "overdue" };
  }

  /** How long the load of such a replica usually takes; undefined when none was seen yet. */
  usualLoadMs(replica: Replica): number | undefined {
    return usual(this.#seen.get(keyOf(replica))?.loadMs);
  }

  /** The same of one that does not run yet: as with the image that was started last. */
  usualLoadOf(recipeId: string, profileId: string): number | undefined {
    return usual(this.#newestOf(placeOf(recipeId, profileId))?.loadMs);
  }

  /** The same of whatever recipe of the model was started last. */
  usualLoadOfModel(model: string): number | undefined {
    return usual(this.#newestOf(model)?.loadMs);
  }

  /** How long it usually takes to wake such a replica; undefined when that was not seen yet. */
  usualWakeMs(replica: Replica): number | undefined {
    return usual(this.#seen.get(keyOf(replica))?.wakeMs);
  }

  /** Until it is ready; undefined when that cannot be told. */
  etaMs(replica: Replica): number | undefined {
    const outlook = this.outlook(replica);
    return outlook.kind === "left" ? outlook.ms : undefined;
  }

  /** Resolves when everything that was learned is stored. */
  async close(): Promise<void> {
    await this.#loaded;
    while (this.#saving !== undefined) await this.#saving;
  }

  async #load(): Promise<void> {
    try {
      const stored = await this.#deps.store?.load();
      if (stored === undefined) return;
      const { starts } = fileSchema.parse(stored);
      const known = starts.map(({ key, ...seen }): [string, Seen] => [key, seen]);
      // What was learned meanwhile is newer.
      this.#seen = new Map([...known.filter(([key]) => !this.#seen.has(key)), ...this.#seen]);
      for (const [key, { model }] of this.#seen) this.#index(key, model);
      this.#bound();
    } catch (error) {
      this.#tell("what was learned of earlier starts cannot be read, and is learned anew", error);
    }
  }

  #learn(replica: Replica, took: { readonly [Kind in keyof Times]?: number }): void {
    const key = keyOf(replica);
    const before = this.#seen.get(key);
    const next = (kind: keyof Times): readonly number[] => {
      const [earlier, ms] = [before?.[kind] ?? [], took[kind]];
      return ms === undefined ? earlier : [...earlier, ms].slice(-KEPT);
    };
    this.#seen.delete(key);
    const times = { pullMs: next("pullMs"), loadMs: next("loadMs"), wakeMs: next("wakeMs") };
    this.#seen.set(key, { model: replica.model, ...times });
    this.#index(key, replica.model);
    this.#bound();
    this.#save();
  }

  #index(key: string, model: string): void {
    const [recipeId = "", profileId = ""] = key.split(" ");
    this.#newest.set(placeOf(recipeId, profileId), key);
    this.#newest.set(model, key);
  }

  /** Of a model, or of a `placeOf`. */
  #newestOf(name: string): Seen | undefined {
    return this.#seen.get(this.#newest.get(name) ?? "");
  }

  #bound(): void {
    for (const key of this.#seen.keys()) {
      if (this.#seen.size <= MOST_ENTRIES) return;
      this.#seen.delete(key);
      for (const [name, newest] of this.#newest) if (newest === key) this.#newest.delete(name);
    }
  }

  /** One write at a time; what changes meanwhile is written after it. */
  #save(): void {
    const { store } = this.#deps;
    if (store === undefined) return;
    this.#isDirty = true;
    this.#saving ??= this.#write(store).finally(() => void (this.#saving = undefined));
  }

  async #write(store: EstimateStore): Promise<void> {
    await this.#loaded;
    while (this.#isDirty) {
      this.#isDirty = false;
      const starts = [...this.#seen].map(([key, seen]) => ({ key, ...seen }));
      try {
        await store.save({ version: 1, starts });
      } catch (error) {
        this.#tell("what was learned of starts cannot be stored", error);
      }
    }
  }

  #tell(problem: string, error: unknown): void {
    if (this.#troubles.has(problem)) return;
    this.#troubles.add(problem);
    this.#deps.onProblem?.(problem, error);
  }
}

function keyOf({ identity, image }: Replica): string {
  return `${placeOf(identity.recipeId, identity.profileId)} ${image ?? identity.runtime}`;
}

/** Neither has a space in it, and a model has none either. */
function placeOf(recipeId: string, profileId: string): string {
  return `${recipeId} ${profileId}`;
}

/** By its speed so far; else by earlier pulls. */
function pullLeftMs({ pull, pullBegan }: StartProgress, { pullMs }: Seen, now: number): number | undefined {
  if (pull === undefined || pullBegan === undefined) return undefined;
  const elapsedMs = now - pullBegan.at;
  const gained = pull.doneBytes - pullBegan.doneBytes;
  if (pull.totalBytes !== undefined && elapsedMs >= TELLING_PULL_MS && gained > 0) {
    return (Math.max(0, pull.totalBytes - pull.doneBytes) * elapsedMs) / gained;
  }
  const usualMs = pullMs.length === 0 ? 0 : leftOf(pullMs, elapsedMs);
  return usualMs > 0 ? usualMs : undefined;
}

function outlookOf(earlierMs: readonly number[], elapsedMs: number): Outlook {
  if (earlierMs.length === 0) return { kind: "unknown" };
  const ms = leftOf(earlierMs, elapsedMs);
  return ms > 0 ? { kind: "left", ms } : { kind: "overdue" };
}

function usual(earlierMs: readonly number[] = []): number | undefined {
  return earlierMs.length === 0 ? undefined : median(earlierMs);
}

/** As long as usual; beyond that, as long as the longest; beyond that, 0. */
function leftOf(earlierMs: readonly number[], elapsedMs: number): number {
  const usualMs = median(earlierMs);
  return Math.max(0, (elapsedMs < usualMs ? usualMs : Math.max(...earlierMs)) - elapsedMs);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
