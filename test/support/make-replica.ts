// A replica as the fleet makes it, with only what a test cares about spelt out.
import { Replica, type ReplicaIdentity } from "../../src/control/replica.ts";

export const IDENTITY: ReplicaIdentity = {
  name: "a-1",
  model: "a",
  recipeId: "a",
  recipeHash: "h",
  profileId: "0_gpu",
  runtime: "docker",
  gpus: [],
  adopted: false,
};

export function makeReplica(
  state: "pending" | "loading" = "loading",
  identity: Partial<ReplicaIdentity> = {},
): Replica {
  const blueprint = { recipe: undefined, profile: undefined };
  return new Replica({ ...IDENTITY, ...identity }, blueprint, { state, reason: "", now: 0, wallNow: 0 });
}
