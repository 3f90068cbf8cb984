// stop: takes replicas down, by their own names, by model, or all there are.
import { readAnswer, replicasAnswer } from "../answers.ts";
import { forEachName } from "../each-name.ts";
import type { ExitCode } from "../exit-codes.ts";
import { isLeaving, whyLeft } from "../failure.ts";
import type { Io } from "../io.ts";
import { withGatewayFor, type Session } from "../session.ts";

export interface StopOptions {
  /** Cuts requests in flight. */
  readonly force?: boolean;
  /** Every replica, instead of names. */
  readonly all?: boolean;
  /** How long to stay; the stop itself goes on. */
  readonly timeout?: number;
}

export function stop(io: Io, names: readonly string[], options: StopOptions): Promise<ExitCode> {
  const limit = { timeoutMs: options.timeout, missed: "not stopped" };
  return withGatewayFor(io, limit, (session) => stopAll(session, names, options));
}

async function stopAll(session: Session, names: readonly string[], options: StopOptions): Promise<ExitCode> {
  const { client, terminal } = session;
  const wanted = options.all ? await everyName(session) : names;
  const query = options.force ? "?force=true" : "";
  const ask = async (name: string) =>
    readAnswer(replicasAnswer, await client.delete(`api/replicas/${encodeURIComponent(name)}${query}`)).replicas;
  try {
    return await forEachName(session, wanted, ask, async (replicas, name) => {
      for (const replica of replicas) await terminal.print(replica.name);
      if (replicas.length === 0) await terminal.note(`${name} is not running`);
    });
  } catch (error) {
    if (!isLeaving(error)) throw error;
    const cut = options.force ? "" : "; to cut the requests they serve: aim-engine stop --force NAME";
    await terminal.note(`${whyLeft(error)}: what is not gone yet goes on stopping${cut}`);
    return error.exitCode;
  }
}

async function everyName({ client, terminal }: Session): Promise<readonly string[]> {
  const { replicas } = readAnswer(replicasAnswer, await client.get("api/replicas"));
  if (replicas.length === 0) await terminal.note("nothing is running");
  return replicas.map(({ name }) => name);
}
