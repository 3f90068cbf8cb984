// ps: the replicas there are.
import { modelsAnswer, readAnswer, replicasAnswer, type ReplicaAnswer } from "../answers.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { formatAge, formatFate, formatGpus, formatState } from "../format.ts";
import type { Io } from "../io.ts";
import { withGateway, type Session } from "../session.ts";
import { table } from "../table.ts";

export interface PsOptions {
  /** Those that failed or are gone as well, and models whose last start failed. */
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
    const rows = shown.map((replica) => row(replica, clock.wallNow()));
    const failed = options.all ? await failedModels(client, replicas) : [];
    await terminal.print(table(HEADS, [...rows, ...failed]));
    const hidden = replicas.length - shown.length;
    if (hidden > 0) await terminal.note(`${hidden} that failed or ended not shown: aim-engine ps -a`);
    return EXIT.ok;
  });
}

function isAlive({ state }: ReplicaAnswer): boolean {
  return state !== "failed" && state !== "gone";
}

/** A replica that failed is cleared away; its model remembers. */
async function failedModels(
  client: Session["client"],
  replicas: readonly ReplicaAnswer[],
): Promise<readonly (readonly string[])[]> {
  const { models } = readAnswer(modelsAnswer, await client.get("api/models"));
  return models
    .filter(({ model, status }) => status === "failed" && !replicas.some((replica) => replica.model === model))
    .map(({ model, status, reason }) => ["", model, formatState(status, reason)]);
}

function row(replica: ReplicaAnswer, now: number): readonly string[] {
  return [
    replica.name,
    replica.model,
    formatState(replica.state, replica.reason, replica.etaSeconds),
    formatGpus(replica),
    String(replica.inFlight),
    formatAge(replica.startedAt, now),
    replica.pinned ? "pinned" : formatFate(replica, now),
  ];
}
