// One replica process that this very gateway started: its birth, and what is remembered of it until it is stopped.
import { LABELS, type LaunchSpec } from "../../catalog/launch-spec.ts";
import type { Clock } from "../../lib/clock.ts";
import type { BackendRef, Gpu, ObservedReplica, ReplicaExit } from "../driver.ts";
import { logPath } from "../log-file.ts";
import { cannotLog, openLog } from "./log.ts";
import { childArgv, childEnv, type Marks } from "./marks.ts";
import { refId } from "./replicas.ts";
import { freePort, spawnDetached } from "./spawn.ts";
import type { ProcessTable } from "./table.ts";

export interface Child {
  readonly ref: BackendRef;
  readonly pid: number;
  readonly marks: Marks;
  readonly startedAt: number;
  readonly exited: Promise<ReplicaExit>;
  /** Set once it has ended. */
  exit?: ReplicaExit;
}

export interface Birthplace {
  readonly installation: string;
  readonly host: string;
  readonly logDir: string;
  readonly gpus: readonly Gpu[];
  readonly baseEnv: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly table: ProcessTable;
  /** Ports promised to other replicas. */
  readonly takenPorts: ReadonlySet<number>;
}

/** Starts the program of a spec. Rejects with `runtime_failed` or `runtime_unavailable` when it cannot be run, and then nothing runs. */
export async function startChild(spec: LaunchSpec, place: Birthplace): Promise<Child> {
  const address = new URL(`http://${place.host}:${await freePort(place.host, place.takenPorts)}`);
  const labels = {
    ...spec.labels,
    [LABELS.installation]: place.installation,
    [LABELS.replica]: spec.replica,
  };
  const marks = { labels, address };
  const env = childEnv(spec, { baseEnv: place.baseEnv, gpus: place.gpus, marks });
  const log = await openLog(logPath(place.logDir, spec.replica), place.clock).catch((error: unknown) => {
    throw cannotLog(place.logDir, error);
  });
  try {
    const spawned = await spawnDetached({ argv: childArgv(spec, address), env, log }, place.table);
    const { stat, pid, exited } = spawned;
    const id = stat === undefined ? `${pid}:0` : refId(stat);
    const startedAt = stat === undefined ? place.clock.wallNow() : await place.table.startedAt(stat);
    return { ref: { id, name: spec.replica }, pid, marks, startedAt, exited };
  } finally {
    await log.close();
  }
}

/** For when the process table does not show it: it has ended, or there is no table. */
export function observeChild(child: Child): ObservedReplica {
  const { ref, marks, startedAt, exit } = child;
  if (exit !== undefined) return { ref, labels: marks.labels, state: "exited", startedAt, exit };
  return { ref, labels: marks.labels, state: "running", address: marks.address, startedAt };
}
