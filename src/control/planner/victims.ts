// The cheapest set of groups of replicas that gives back enough GPUs: pure.
import type { ReplicaSnapshot } from "../snapshot.ts";

/** Replicas that all have to go before any GPU of theirs is of use. */
export interface Group {
  readonly occupants: readonly ReplicaSnapshot[];
  /** GPUs that are then free. */
  readonly gain: number;
}

interface Chosen {
  readonly group: Group;
  readonly rest: Chosen | undefined;
}

/** Undefined when they are not enough together. None of the set can be left out. */
export function cheapest(
  groups: readonly Group[],
  wanted: number,
  cost: (replica: ReplicaSnapshot) => number,
): readonly ReplicaSnapshot[] | undefined {
  const least: number[] = Array.from({ length: wanted + 1 }, (_, gained) => (gained === 0 ? 0 : Infinity));
  const sets: (Chosen | undefined)[] = [];
  for (const group of groups) {
    const price = group.occupants.reduce((sum, replica) => sum + cost(replica), 0);
    for (let gained = wanted; gained > 0; gained--) {
      const before = Math.max(0, gained - group.gain);
      const total = (least[before] ?? Infinity) + price;
      if (total >= (least[gained] ?? Infinity)) continue;
      least[gained] = total;
      sets[gained] = { group, rest: before === 0 ? undefined : sets[before] };
    }
  }
  return sets[wanted] === undefined ? undefined : needed(sets[wanted], wanted);
}

/** Less the groups that turn out not to be needed, the dearest first. */
function needed(chosen: Chosen, wanted: number): readonly ReplicaSnapshot[] {
  const groups: Group[] = [];
  for (let one: Chosen | undefined = chosen; one !== undefined; one = one.rest) groups.push(one.group);
  let gained = groups.reduce((sum, { gain }) => sum + gain, 0);
  const kept = groups.filter(({ gain }) => {
    if (gained - gain < wanted) return true;
    gained -= gain;
    return false;
  });
  return [...new Set(kept.flatMap(({ occupants }) => occupants))];
}
