// Which processes make up which replica: told by the marks in their environment, so that it is true after any restart of ours.
import { LABELS } from "../../catalog/launch-spec.ts";
import type { BackendRef } from "../driver.ts";
import { readMarks, type Marks } from "./marks.ts";
import { inBatches, isLive, type ProcessStat, type ProcessTable } from "./table.ts";

/** One live process that bears our marks: the program that was started, or one that it started. */
export interface Bearer {
  readonly stat: ProcessStat;
  readonly marks: Marks;
}

/** The live processes of one replica. */
export interface ProcessReplica {
  readonly ref: BackendRef;
  readonly marks: Marks;
  /** The program that was started; where that has ended and left children behind, the oldest of these. */
  readonly root: ProcessStat;
  readonly isOrphaned: boolean;
  readonly members: readonly ProcessStat[];
}

/** The identity of a process: the pid alone is reused. */
export function refId(stat: ProcessStat): string {
  return `${stat.pid}:${stat.startTicks}`;
}

/** The pid in a ref id; 0, which is nobody's, when it is none of ours. */
export function pidOf(id: string): number {
  const pid = Number(/^(\d+):/.exec(id)?.[1] ?? 0);
  return Number.isSafeInteger(pid) ? pid : 0;
}

/** Whether both come from one start of one replica: no other has that name and that port. */
export function isSameStart(a: Marks, b: Marks): boolean {
  return a.labels[LABELS.replica] === b.labels[LABELS.replica] && a.address.href === b.address.href;
}

/** Every replica of the installation that has live processes, by name. */
export async function findReplicas(
  table: ProcessTable,
  installation: string,
): Promise<ReadonlyMap<string, ProcessReplica>> {
  const stats = (await table.all()).filter(isLive);
  const found = await inBatches(stats, async (stat) => {
    const marks = readMarks((await table.environ(stat.pid)) ?? new Map());
    return marks?.labels[LABELS.installation] === installation ? [{ stat, marks }] : [];
  });
  const bearers = found.flat();
  return groupByReplica(bearers);
}

/** Pure: children inherit the marks, so a name has one root, the oldest leader of a process group, and its other members. */
export function groupByReplica(bearers: readonly Bearer[]): ReadonlyMap<string, ProcessReplica> {
  const byName = Map.groupBy(bearers, (bearer) => bearer.marks.labels[LABELS.replica] ?? "");
  byName.delete("");
  return new Map([...byName].map(([name, members]) => [name, toReplica(name, members)]));
}

function toReplica(name: string, bearers: readonly Bearer[]): ProcessReplica {
  const oldestFirst = bearers.toSorted((a, b) => a.stat.startTicks - b.stat.startTicks || a.stat.pid - b.stat.pid);
  const leader = oldestFirst.find((bearer) => bearer.stat.pid === bearer.stat.group);
  const root = leader ?? oldestFirst[0];
  if (root === undefined) throw new Error(`replica ${name} has no process`);
  return {
    ref: { id: refId(root.stat), name },
    marks: root.marks,
    root: root.stat,
    isOrphaned: leader === undefined,
    members: oldestFirst.map((bearer) => bearer.stat),
  };
}
