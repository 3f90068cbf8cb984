// What ought to run without being asked for: recipes that start with the gateway, and replicas in place of those that somebody
// wanted and that died. A part of the fleet.
//
// An entry is open until its start begins, an operator stops what it is for, or a replica of its recipe turns up; it opens
// again when that start fails. Whoever starts a replica for another reason that does as well takes an entry over, with its wish.
import type { Recipe, RecipeId } from "../../catalog/recipe.ts";
import type { SelectRequest } from "../../catalog/select.ts";
import type { Replica } from "../replica.ts";
import type { StartDecision } from "../start-decision.ts";
import type { Demand } from "../snapshot.ts";
import type { ReplicaFailure } from "./failures.ts";
import type { Roster } from "./roster.ts";
import type { Wish } from "./wish.ts";

/** Whatever is waited for comes before what nobody waits for; more than any gateway runs. */
const AFTER_ALL_MS = 2 ** 40;

export interface Want {
  readonly id: string;
  readonly why: "preload" | "replacement";
  readonly request: SelectRequest & { readonly recipe: RecipeId };
  readonly since: number;
  readonly wish: Wish;
  /** The replicas whose place it is to take: the one that somebody wanted, and those that were started for it in vain. */
  readonly replaces: readonly string[];
}

export class Wanted {
  readonly #open = new Map<string, Want>();
  /** What replicas were started for, as long as it matters. */
  readonly #startedFor = new WeakMap<Replica, Want>();
  readonly #roster: Pick<Roster, "find" | "ofModel">;
  #next = 1;

  /** Of the recipes, those to be started with the gateway are wanted, unless a replica of them is found running. */
  constructor(roster: Pick<Roster, "find" | "ofModel">, recipes: readonly Recipe[], now: number) {
    this.#roster = roster;
    for (const { id: recipe, model } of recipes.filter(({ preload }) => preload)) {
      const want = this.#make({ why: "preload", request: { model, recipe }, since: now, wish: {}, replaces: [] });
      this.#open.set(want.id, want);
    }
  }

  /** A replica failed, by itself: another one is wanted where somebody wanted that one. */
  lost(replica: Replica, failure: ReplicaFailure, now: number): void {
    const { name, recipe, profile, readyAt } = replica;
    // Whoever asked it to end knew what he did; one that was on its way out is not missed.
    if (recipe === undefined || profile === undefined || failure.wasStopped || replica.stopCause !== undefined) return;
    const before = this.#startedFor.get(replica);
    const replaces = [...new Set(before?.replaces).add(name)];
    if (readyAt === undefined) {
      if (before !== undefined) this.#open.set(before.id, { ...before, since: now, replaces });
      return;
    }
    if (!(replica.identity.launched || replica.pinned || before?.why === "replacement")) return;
    const { pinned: _pinnedThen, ...asBefore } = before?.wish ?? {};
    const wish = { ...asBefore, ...wishOf(replica) };
    const request = { model: recipe.model, recipe: recipe.id, gpus: profile.gpus };
    const want = this.#make({ why: "replacement", request, since: now, wish, replaces });
    const heir = (wish.name ?? wish.on ?? wish.flags) ? undefined : this.#heirOf(replica);
    if (heir === undefined) this.#open.set(want.id, want);
    else this.#inherit(heir, want);
  }

  /** A replica of the recipe was found running: it need not be started first. */
  found(recipeId: RecipeId): void {
    for (const { id, why, request } of this.#open.values())
      if (why === "preload" && request.recipe === recipeId) this.#open.delete(id);
  }

  /** An operator wants it no more: a replica by its name, or all of a model. */
  forgo(name: string): void {
    for (const { id, request, replaces } of this.#open.values())
      if (request.model === name || replaces.includes(name)) this.#open.delete(id);
  }

  /** A start begins: what of this book it fulfils is crossed out, and comes with it where it was not started for that. */
  claim(start: StartDecision): { readonly start: StartDecision; readonly want?: Want } {
    const { demand } = start;
    const own = demand === undefined ? undefined : this.#open.get(demand.id);
    const want = own ?? [...this.#open.values()].find((one) => this.#isPossible(one) && fulfils(start, one));
    if (want === undefined) return { start };
    this.#open.delete(want.id);
    // What an operator orders is as he says.
    if (demand?.kind === "order") return { start };
    if (own !== undefined) return { start, want };
    const { id, why, wish } = want;
    return { start: { ...start, demand: { id, kind: "wanted", why, wish } }, want };
  }

  /** The replica whose start that is. */
  begun(replica: Replica, want: Want | undefined): void {
    if (want !== undefined) this.#startedFor.set(replica, want);
  }

  /** One that has its name still to be cleared away has to wait for that. */
  demands(): readonly Demand[] {
    return [...this.#open.values()].filter((want) => this.#isPossible(want)).map(toDemand);
  }

  #isPossible({ wish: { name } }: Want): boolean {
    return name === undefined || this.#roster.find(name) === undefined;
  }

  /** One that requests had started when it had ceased to answer, before it was known to be dead. */
  #heirOf({ model, identity, unresponsiveSince = Infinity }: Replica): Replica | undefined {
    return this.#roster.ofModel(model).find((other) => {
      const { recipeId, profileId, launched } = other.identity;
      const isAlike = recipeId === identity.recipeId && profileId === identity.profileId;
      const isOwn = launched === true || this.#startedFor.get(other)?.why === "replacement";
      return isAlike && !isOwn && other.createdAt >= unresponsiveSince && (other.isStarting || other.isServing);
    });
  }

  #inherit(heir: Replica, want: Want): void {
    const { pinned, keepAliveMs } = want.wish;
    this.#startedFor.set(heir, want);
    heir.pinned ||= pinned ?? false;
    heir.keepAliveMs ??= keepAliveMs;
  }

  #make(want: Omit<Want, "id">): Want {
    return { ...want, id: `wanted:${this.#next++}` };
  }
}

/** What its launch, or an operator later, asked for beyond its recipe. */
export function wishOf({ name, recipe, pinned, identity }: Replica): Wish {
  const { keepAliveMs, flags, gpus, chosen = [] } = identity;
  return {
    ...(keepAliveMs === undefined ? {} : { keepAliveMs }),
    ...(flags === undefined ? {} : { flags }),
    ...(chosen.includes("gpus") ? { on: gpus } : {}),
    ...(chosen.includes("name") ? { name } : {}),
    ...(pinned && !recipe?.pinned ? { pinned } : {}),
  };
}

function toDemand({ id, why, request, since, wish }: Want): Demand {
  return { id, kind: "wanted", why, request, since, rank: since + AFTER_ALL_MS, waiting: 1, mayStart: true, wish };
}

/** Whether a start that is for something else makes this one needless. */
function fulfils({ recipe, profile, demand }: StartDecision, want: Want): boolean {
  const { why, request, wish } = want;
  if (request.recipe !== recipe.id) return false;
  if (why === "preload") return true;
  if (request.gpus !== profile.gpus || wish.on !== undefined || demand?.kind === "wanted") return false;
  if (demand?.kind !== "order") return true;
  const { name, on, flags = [] } = demand.wish ?? {};
  const isAnother = on !== undefined || (name !== undefined && name !== wish.name);
  return !isAnother && JSON.stringify(flags) === JSON.stringify(wish.flags ?? []);
}
