// Which of the free GPUs a replica gets: pure. GPUs that are close to each other talk faster, and the tightest place that is
// large enough leaves the larger ones whole.
import type { Gpu } from "../../runtime/driver.ts";

/** GPUs in the order the engine sees them, and why these. */
export interface Place {
  readonly gpus: readonly string[];
  readonly why: string;
}

/** What GPUs can have in common, closest first; undefined where it is not known. */
const NEIGHBOURHOODS: readonly {
  readonly of: (gpu: Gpu) => string | undefined;
  readonly describe: (name: string) => string;
}[] = [
  {
    of: ({ id, partition }) => (partition === undefined ? undefined : cardOf(id)),
    describe: (card) => `on card ${card}`,
  },
  {
    of: ({ hive, numaNode }) => (numaNode === undefined ? undefined : `${numaNode}, ${hive ?? ""}`),
    describe: (name) => `on NUMA node ${name.split(",")[0]}`,
  },
  { of: ({ hive }) => hive, describe: () => "linked by XGMI" },
];

/** Undefined when too few are free. `free` are alike, and sorted by their ids; none are needed by engines that need none. */
export function place(free: readonly Gpu[], needed: number): Place | undefined {
  if (free.length < needed) return undefined;
  if (needed === 0) return { gpus: [], why: "" };
  for (const { of, describe } of NEIGHBOURHOODS) {
    const [tightest] = [...Map.groupBy(free, of)]
      .filter(([name, members]) => name !== undefined && members.length >= needed)
      .sort(([, a], [, b]) => a.length - b.length);
    if (tightest === undefined) continue;
    const [name = "", members] = tightest;
    return take(
      members,
      needed,
      `${describe(name)}, where ${members.length} ${members.length === 1 ? "is" : "are"} free`,
    );
  }
  return take(free, needed, needed === 1 ? "the first that is free" : "the first that are free");
}

function take(members: readonly Gpu[], needed: number, why: string): Place {
  const gpus = members.slice(0, needed).map(({ id }) => id);
  return { gpus, why: `${gpus.length === 1 ? "GPU" : "GPUs"} ${gpus.join(", ")}: ${why}` };
}

/** "0000:c1:00.0/renderD129" is a part of "0000:c1:00.0". */
function cardOf(id: string): string {
  return id.split("/")[0] ?? id;
}
