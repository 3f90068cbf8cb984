// pin, unpin: keeps replicas from being evicted and from being unloaded for being idle, or lets go of them.
import { readAnswer, replicasAnswer } from "../answers.ts";
import { forEachName } from "../each-name.ts";
import type { ExitCode } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { withGateway } from "../session.ts";

/** Prints the replicas that were meant. */
export function pin(io: Io, names: readonly string[], action: "pin" | "unpin"): Promise<ExitCode> {
  return withGateway(io, (session) => {
    const { client, terminal } = session;
    const ask = async (name: string) =>
      readAnswer(replicasAnswer, await client.post(`api/replicas/${encodeURIComponent(name)}/${action}`)).replicas;
    return forEachName(session, names, ask, async (replicas) => {
      for (const replica of replicas) await terminal.print(replica.name);
    });
  });
}
