// ps: the replicas there are.
import { readAnswer, replicasAnswer, type ReplicaAnswer } from "../answers.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { formatAge, formatState, formatUntil } from "../format.ts";
import type { Io } from "../io.ts";
import { withGateway } from "../session.ts";
import { table } from "../table.ts";

export interface PsOptions {
  /** Those that failed or are gone as well. */
  readonly all?: boolean;
  /** Names only. */
  readonly quiet?: boolean;
  readonly json?: boolean;
}

const HEADS = ["NAME", "MODEL", "STATE", "GPUS", "IN-FLIGHT", "UPTIME", "UNTIL"];

export function ps(io: Io, options: PsOptions): Promise<ExitCode> {
  return withGateway(io, async ({ client, terminal, clock }) => {
    const answer = await client.get("api/replicas");
    if (options.json) {
      await terminal.printJson(answer);
      return EXIT.ok;
    }
    const { replicas } = readAnswer(replicasAnswer, answer);
    const shown = options.all ? replicas : replicas.filter(isAlive);
    if (options.quiet) {
      for (const { name } of shown) await terminal.print(name);
      return EXIT.ok;
    }
    await terminal.print(
      table(
        HEADS,
        shown.map((replica) => row(replica, clock.wallNow())),
      ),
    );
    const hidden = replicas.length - shown.length;
    if (hidden > 0) await terminal.note(`${hidden} that failed or ended not shown: aim-engine ps -a`);
    return EXIT.ok;
  });
}

function isAlive({ state }: ReplicaAnswer): boolean {
  return state !== "failed" && state !== "gone";
}

function row(replica: ReplicaAnswer, now: number): readonly string[] {
  const until = formatUntil(replica.idleUntil, now);
  return [
    replica.name,
    replica.model,
    formatState(replica.state, replica.reason),
    replica.gpus.length === 0 ? "" : String(replica.gpus.length),
    String(replica.inFlight),
    formatAge(replica.startedAt, now),
    until,
  ];
}
