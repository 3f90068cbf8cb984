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
    const replicas: ReplicaAnswer[] = [];
    const code = await askForAll(session, { names, options, replicas });
    const started = await follow(io, session, { replicas, detach: options.detach, signal });
    return code === EXIT.ok ? started : code;
  });
}

interface Asked {
  readonly names: readonly string[];
  readonly options: RestartOptions;
  /** Where those go that start again. */
  readonly replicas: ReplicaAnswer[];
}

async function askForAll(session: Session, { names, options, replicas }: Asked): Promise<ExitCode> {
  const { client, terminal } = session;
  const query = options.force ? "?force=true" : "";
  const ask = async (name: string) =>
    readAnswer(launchAnswer, await client.post(`api/replicas/${encodeURIComponent(name)}/restart${query}`));
  try {
    await terminal.note(`restarting ${names.join(", ")}`);
    return await forEachName(session, names, ask, async (answer) => void replicas.push(...answer.replicas));
  } catch (error) {
    if (!isLeaving(error)) throw error;
    await terminal.note(
      `${whyLeft(error)}: what is stopping goes on stopping, and may not be started again: see aim-engine ps`,
    );
    throw new CliError(error.exitCode, "");
  }
}

interface Restarted {
  readonly replicas: readonly ReplicaAnswer[];
  readonly detach: boolean | undefined;
  readonly signal: AbortSignal;
}

async function follow(io: Io, session: Session, { replicas, detach, signal }: Restarted): Promise<ExitCode> {
  if (!detach && replicas.length > 0) return awaitReady(io, session, { replicas, said: [], signal });
  for (const { name } of replicas) await session.terminal.print(name);
  return EXIT.ok;
}
