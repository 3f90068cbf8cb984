// The replicas there are, by name, by model and by GPU, and what is remembered of those that are gone.
import { LRUCache } from "lru-cache";
import type { RuntimeName } from "../../catalog/recipe.ts";
import type { BackendRef } from "../../runtime/driver.ts";
import type { Replica } from "../replica.ts";

/**
 * A list asked for before a removal may arrive after it; more than a few of those refs are never in flight. Room for them is
 * taken as they come, where `max` would take all of it at once.
 */
const REMEMBERED = { maxSize: 1000, sizeCalculation: () => 1 };

/** The roster for those who may only look. */
export type RosterView = Pick<
  Roster,
  "all" | "find" | "holder" | "holders" | "isBuried" | "ofModel" | "remains" | "remainsOf"
>;

/** A replica that is gone: enough to find its log. */
export interface Remains {
  readonly name: string;
  readonly model: string;
  readonly recipeId: string;
  readonly runtime: RuntimeName;
  /** Absent: nothing of it ever ran. */
  readonly ref?: BackendRef;
}

export class Roster {
  readonly #byName = new Map<string, Replica>();
  /** Made anew when one comes or goes. */
  #all: readonly Replica[] | undefined;
  readonly #byModel = new Map<string, readonly Replica[]>();
  /** Asked for every GPU with every plan: no key is put together for that. */
  readonly #byGpu = new Map<RuntimeName, Map<string, readonly Replica[]>>();
  /** Refs, and when they were buried. */
  readonly #buried = new LRUCache<string, number>(REMEMBERED);
  /** By name; the newest first. */
  readonly #remains = new LRUCache<string, Remains>(REMEMBERED);

  add(replica: Replica): void {
    if (this.#byName.has(replica.name)) throw new Error(`replica ${replica.name} exists already`);
    this.#byName.set(replica.name, replica);
    this.#all = undefined;
    this.#remains.delete(replica.name);
    include(this.#byModel, replica.model, replica);
    for (const gpu of replica.identity.gpus) include(this.#gpusOf(replica), gpu, replica);
  }

  bury(replica: Replica, now: number): void {
    this.#byName.delete(replica.name);
    this.#all = undefined;
    exclude(this.#byModel, replica.model, replica);
    for (const gpu of replica.identity.gpus) exclude(this.#gpusOf(replica), gpu, replica);
    const { name, model, ref } = replica;
    const { recipeId, runtime } = replica.identity;
    if (ref !== undefined) this.#buried.set(ref.id, now);
    this.#remains.set(name, { name, model, recipeId, runtime, ...(ref === undefined ? {} : { ref }) });
  }

  /** What is remembered of a replica that is gone and whose name nobody has taken since. */
  remains(name: string): Remains | undefined {
    return this.#remains.peek(name);
  }

  /** The newest first. */
  remainsOf(model: string): readonly Remains[] {
    return [...this.#remains.values()].filter((remains) => remains.model === model);
  }

  forget(name: string): void {
    this.#remains.delete(name);
  }

  /** Whether this runtime id belongs to a replica of the roster that was not gone yet at that time, and now is. */
  isBuried(refId: string, at: number): boolean {
    const buriedAt = this.#buried.get(refId);
    return buriedAt !== undefined && at <= buriedAt;
  }

  find(name: string): Replica | undefined {
    return this.#byName.get(name);
  }

  /** The replica that holds a GPU of the runtime: of several the first one that is awake, and else the first. */
  holder(runtime: RuntimeName, gpu: string): Replica | undefined {
    const holders = this.holders(runtime, gpu);
    return holders.find(({ state }) => state !== "sleeping") ?? holders[0];
  }

  /** All that hold a GPU of the runtime, awake or asleep, the eldest first. */
  holders(runtime: RuntimeName, gpu: string): readonly Replica[] {
    return this.#byGpu.get(runtime)?.get(gpu) ?? NONE;
  }

  all(): readonly Replica[] {
    return (this.#all ??= [...this.#byName.values()]);
  }

  ofModel(model: string): readonly Replica[] {
    return this.#byModel.get(model) ?? NONE;
  }

  /** The first of NAME-1, NAME-2, … that is not taken. */
  freeName(recipeId: string): string {
    for (let ordinal = 1; ; ordinal++) {
      const name = `${recipeId}-${ordinal}`;
      if (!this.#byName.has(name)) return name;
    }
  }

  #gpusOf({ identity: { runtime } }: Replica): Map<string, readonly Replica[]> {
    const known = this.#byGpu.get(runtime);
    if (known !== undefined) return known;
    const fresh = new Map<string, readonly Replica[]>();
    this.#byGpu.set(runtime, fresh);
    return fresh;
  }
}

const NONE: readonly Replica[] = [];

function include(index: Map<string, readonly Replica[]>, key: string, replica: Replica): void {
  index.set(key, [...(index.get(key) ?? NONE), replica]);
}

function exclude(index: Map<string, readonly Replica[]>, key: string, replica: Replica): void {
  const remaining = (index.get(key) ?? NONE).filter((other) => other !== replica);
  if (remaining.length === 0) index.delete(key);
  else index.set(key, remaining);
}
