// logs: the output of a replica, named by itself or by a model that only it serves.
import { logLineAnswer, modelsAnswer, readAnswer, replicasAnswer } from "../answers.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { CliError, failedWith } from "../failure.ts";
import type { Io } from "../io.ts";
import { withGateway, type Session } from "../session.ts";
import { suggestName } from "../unknown-name.ts";

export interface LogsOptions {
  readonly follow?: boolean;
  readonly tail: number;
  readonly json?: boolean;
}

export function logs(io: Io, name: string, options: LogsOptions): Promise<ExitCode> {
  return withGateway(io, async (session) => {
    try {
      await show(session, name, options);
    } catch (error) {
      if (!failedWith(error, EXIT.notFound)) throw error;
      const replica = await servingReplica(session, name);
      if (replica === undefined) throw await suggestName(session, error, name);
      await show(session, replica, options);
    }
    return EXIT.ok;
  });
}

async function show({ client, terminal }: Session, replica: string, options: LogsOptions): Promise<void> {
  const query = `tail=${options.tail}${options.follow ? "&follow=true" : ""}`;
  const path = `api/replicas/${encodeURIComponent(replica)}/logs?${query}`;
  for await (const line of client.lines(path, "application/x-ndjson")) {
    const entry = readAnswer(logLineAnswer, JSON.parse(line));
    if ("error" in entry) throw new CliError(EXIT.failure, `the log of ${replica} broke off: ${entry.error.message}`);
    await terminal.print(options.json ? line : entry.text);
  }
}

/** The one replica of the model; undefined when there is no such model. */
async function servingReplica({ client }: Session, name: string): Promise<string | undefined> {
  const { models } = readAnswer(modelsAnswer, await client.get("api/models"));
  const model = models.find((candidate) => candidate.model === name || candidate.aliases.includes(name));
  if (model === undefined) return undefined;
  const { replicas } = readAnswer(replicasAnswer, await client.get("api/replicas"));
  const [first, ...others] = replicas.filter((replica) => replica.model === model.model);
  if (first === undefined) {
    const hint = `Start it with: aim-engine launch ${name}`;
    throw new CliError(EXIT.notFound, `${name} has no replica and so no log`, { hint });
  }
  if (others.length === 0) return first.name;
  const names = [first, ...others].map((replica) => replica.name).join(", ");
  throw new CliError(EXIT.usage, `${name} has several replicas: ${names}`, { hint: "Name one of them." });
}
