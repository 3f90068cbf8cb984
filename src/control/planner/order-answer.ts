// What a launch order meets before anything is placed for it: pure. It names what it wants, so nothing of it is replaced by
// something else: it is there, it can be made, or the order is refused with the reason.
import { likenessOf, matchesHardware } from "../../catalog/select.ts";
import type { Profile, Recipe } from "../../catalog/recipe.ts";
import { AimError } from "../../errors.ts";
import type { Gpu } from "../../runtime/driver.ts";
import type { GpuBlock } from "../fleet/gpus.ts";
import type { Demand, ReplicaSnapshot } from "../snapshot.ts";
import type { Wish } from "../fleet/wish.ts";

export type OrderAnswer =
  | { readonly kind: "there"; readonly replica: ReplicaSnapshot }
  | { readonly kind: "refused"; readonly error: AimError }
  | { readonly kind: "wanted" };

export interface OrderContext {
  readonly recipe: Recipe;
  readonly profile: Profile;
  /** Replicas of the recipe that serve or will. */
  readonly live: readonly ReplicaSnapshot[];
  /** The state of every replica there is, by name. */
  readonly states: ReadonlyMap<string, string>;
  /** GPUs of the runtime. */
  readonly gpus: readonly Gpu[];
  block(gpu: string): GpuBlock | undefined;
}

const WANTED: OrderAnswer = { kind: "wanted" };
/** When to ask again for a GPU that cannot be given out. */
const BLOCKED_RETRY_MS = 30_000;

export function answerOrder({ wish = {} }: Demand, context: OrderContext): OrderAnswer {
  const { recipe, live } = context;
  const atLeast = wish.atLeast ?? 1;
  const there = live.filter((replica) => isAsWished(replica, wish, context)).at(atLeast - 1);
  if (there !== undefined) return { kind: "there", replica: there };
  const error = whyNoneCanBeMade(wish, context);
  if (error !== undefined) return { kind: "refused", error };
  if (isExplicit(wish) || live.length < recipe.replicas.max) return WANTED;
  const names = live.map((replica) => `${replica.name} (${replica.profileId})`).join(", ");
  const most = recipe.replicas.max === 1 ? "1 replica" : `${recipe.replicas.max} replicas`;
  const limit = `recipe ${recipe.id} allows ${most}, and there ${live.length === 1 ? "is" : "are"} ${names}`;
  const remedy = "stop it first, ask for another one with --replicas or --name, or raise replicas.max in the recipe";
  return { kind: "refused", error: new AimError("conflict", `${limit}; ${remedy}`) };
}

/** Somebody wants this one: it is not held to what requests may start. */
function isExplicit({ atLeast, name, on, flags = [] }: Wish): boolean {
  return atLeast !== undefined || name !== undefined || on !== undefined || flags.length > 0;
}

function isAsWished(replica: ReplicaSnapshot, wish: Wish, { profile }: OrderContext): boolean {
  const { name, on, flags = [] } = wish;
  return (
    replica.profileId === profile.id &&
    (name === undefined || replica.name === name) &&
    (on === undefined || isSameSet(replica.gpus, on)) &&
    JSON.stringify(replica.flags) === JSON.stringify(flags)
  );
}

function whyNoneCanBeMade({ name, on }: Wish, context: OrderContext): AimError | undefined {
  const state = name === undefined ? undefined : context.states.get(name);
  if (state !== undefined) {
    const message = `there is a replica called ${name} already (${state}), and it is not what is asked for`;
    return new AimError("conflict", `${message}; choose another name, or stop it first`, { param: "name" });
  }
  return on === undefined ? undefined : whyNotOn(on, context);
}

function whyNotOn(on: readonly string[], context: OrderContext): AimError | undefined {
  const { recipe, profile, gpus } = context;
  const wrong = (message: string) => new AimError("invalid_value", message, { param: "on" });
  if (on.length !== profile.gpus) {
    return wrong(`${on.length} GPUs are named, and profile ${profile.id} of ${recipe.id} takes ${profile.gpus}`);
  }
  for (const id of on) {
    const gpu = gpus.find((one) => one.id === id);
    if (gpu === undefined) return wrong(`there is no GPU ${id}; "aim-engine gpus" lists them`);
    const blocked = context.block(id);
    if (blocked !== undefined && blocked.status !== "recovering") {
      const message = `GPU ${id} cannot be used: it is ${blocked.status} (${blocked.reason})`;
      return new AimError("no_capacity", message, { retryAfterMs: BLOCKED_RETRY_MS });
    }
    if (!matchesHardware(recipe, gpu)) {
      return wrong(`GPU ${id} is a ${gpu.product}, and ${recipe.id} is for ${recipe.hardware.join(", ")}`);
    }
  }
  const kinds = Map.groupBy(
    gpus.filter(({ id }) => on.includes(id)),
    likenessOf,
  );
  if (kinds.size < 2) return undefined;
  const parts = [...kinds.values()].map((alike) => alike.map(({ id, product }) => `${id} (${product})`).join(", "));
  return wrong(`the GPUs named are not alike, and those of one replica have to be: ${parts.join("; ")}`);
}

function isSameSet(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every((one) => others.includes(one));
}
