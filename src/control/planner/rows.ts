// The GPUs of each runtime as a plan finds them: a seat for each, with who is on it, in rows of those that are alike.
import type { RuntimeName } from "../../catalog/recipe.ts";
import { gpuKey } from "../fleet/gpus.ts";
import type { FleetSnapshot } from "../snapshot.ts";
import { Seat } from "./seats.ts";
import { kindsOf, type Kind } from "./supply.ts";

/** The GPUs among which a placement is sought: alike, and not blocked for good. */
export interface Row {
  readonly kind: Kind;
  readonly seats: readonly Seat[];
}

/** What a runtime has. */
export interface Hall {
  readonly rows: readonly Row[];
  /** Of all its GPUs, by their ids. */
  readonly seats: ReadonlyMap<string, Seat>;
}

export function hallsOf({
  runtimes,
  replicas,
  blocks,
}: Pick<FleetSnapshot, "runtimes" | "replicas" | "blocks">): ReadonlyMap<RuntimeName, Hall> {
  const halls = new Map<RuntimeName, Hall>();
  for (const [runtime, { gpus }] of runtimes) halls.set(runtime, hallOf(runtime, kindsOf(gpus), blocks));
  for (const replica of replicas) {
    const seats = halls.get(replica.runtime)?.seats;
    for (const gpu of replica.gpus) seats?.get(gpu)?.seat(replica);
  }
  return halls;
}

function hallOf(runtime: RuntimeName, kinds: readonly Kind[], blocks: FleetSnapshot["blocks"]): Hall {
  const seats = new Map<string, Seat>();
  const rows = kinds.map((kind) => {
    const all = kind.gpus.map(
      (gpu) => new Seat(gpu, blocks.size === 0 ? undefined : blocks.get(gpuKey(runtime, gpu.id))),
    );
    for (const seat of all) seats.set(seat.gpu.id, seat);
    return { kind, seats: all.filter(({ block }) => block === undefined || block.status === "recovering") };
  });
  return { rows, seats };
}
