// rm: forgets replicas that no longer run: their logs, and that they failed.
import { readAnswer, removedAnswer } from "../answers.ts";
import { forEachName } from "../each-name.ts";
import type { ExitCode } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { withGateway } from "../session.ts";

export interface RmOptions {
  /** Stops them first. */
  readonly force?: boolean;
}

export function rm(io: Io, names: readonly string[], options: RmOptions): Promise<ExitCode> {
  return withGateway(io, (session) => {
    const { client, terminal } = session;
    const query = options.force ? "?force=true" : "";
    const ask = async (name: string) =>
      readAnswer(removedAnswer, await client.delete(`api/replicas/${encodeURIComponent(name)}/remains${query}`))
        .removed;
    return forEachName(session, names, ask, async (removed, name) => {
      for (const one of removed) await terminal.print(one);
      if (removed.length === 0) await terminal.note(`nothing is left of ${name}`);
    });
  });
}
