// restart: stops replicas, starts them again as they were and, unless told otherwise, stays until they are ready.
import { launchAnswer, readAnswer, type ReplicaAnswer } from "../answers.ts";
import { awaitReady } from "../await-ready.ts";
import { forEachName } from "../each-name.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { CliError, isLeaving, whyLeft } from "../failure.ts";
import type { Io } from "../io.ts";
import { withGatewayFor, type Session } from "../session.ts";

export interface RestartOptions {
  /** Cuts requests in flight. */
  readonly force?: boolean;
  readonly detach?: boolean;
  /** How long to stay; what was asked for goes on. */
  readonly timeout?: number;
}

export function restart(io: Io, names: readonly string[], options: RestartOptions): Promise<ExitCode> {
  const limit = { timeoutMs: options.timeout, missed: "not ready" };
  return withGatewayFor(io, limit, async (session, signal) => {
    const begun: Begun = { replicas: [], reasons: [] };
    const code = await askForAll(session, { names, options, begun });
    const followed = await follow(io, session, { begun, detach: options.detach, signal });
    return code === EXIT.ok ? followed : code;
  });
}

/** What starts again; grows with every name. */
interface Begun {
  readonly replicas: ReplicaAnswer[];
  readonly reasons: string[];
}

interface Asked {
  readonly names: readonly string[];
  readonly options: RestartOptions;
  readonly begun: Begun;
}

async function askForAll(session: Session, { names, options, begun }: Asked): Promise<ExitCode> {
  const { client, terminal } = session;
  const query = options.force ? "?force=true" : "";
  const ask = async (name: string) =>
    readAnswer(launchAnswer, await client.post(`api/replicas/${encodeURIComponent(name)}/restart${query}`));
  try {
    await terminal.note(`restarting ${names.join(", ")}`);
    return await forEachName(session, names, ask, async ({ replicas, reasons }) => {
      begun.replicas.push(...replicas);
      begun.reasons.push(...reasons);
    });
  } catch (error) {
    if (!isLeaving(error)) throw error;
    await terminal.note(`${whyLeft(error)}: the restart goes on: see aim-engine ps`);
    throw new CliError(error.exitCode, "");
  }
}

interface Restarted {
  readonly begun: Begun;
  readonly detach: boolean | undefined;
  readonly signal: AbortSignal;
}

async function follow(io: Io, session: Session, { begun, detach, signal }: Restarted): Promise<ExitCode> {
  const { replicas, reasons } = begun;
  // Why these GPUs and this recipe: as before, and so no news.
  if (!detach && replicas.length > 0) return awaitReady(io, session, { replicas, said: reasons, signal });
  for (const { name } of replicas) await session.terminal.print(name);
  return EXIT.ok;
}
