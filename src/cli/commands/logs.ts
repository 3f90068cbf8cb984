// logs: the output of a replica, named by itself or by a model that only it serves.
import { logLineAnswer, modelsAnswer, readAnswer, replicasAnswer, type ModelAnswer } from "../answers.ts";
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
      await showReplica(session, name, options);
    } catch (error) {
      if (!failedWith(error, EXIT.notFound)) throw error;
      const model = await findModel(session, name);
      if (model === undefined) throw await suggestName(session, error, name);
      await showModel(session, model, options);
    }
    return EXIT.ok;
  });
}

async function showReplica({ client, terminal }: Session, name: string, options: LogsOptions): Promise<void> {
  const query = `tail=${options.tail}${options.follow ? "&follow=true" : ""}`;
  const path = `api/replicas/${encodeURIComponent(name)}/logs?${query}`;
  for await (const line of client.lines(path, { accept: "application/x-ndjson" })) {
    const entry = readAnswer(logLineAnswer, JSON.parse(line));
    if ("error" in entry) {
      throw new CliError(EXIT.failure, `the log of ${name} broke off: ${entry.error.message}`, {
        hint: "Show what there is without --follow.",
      });
    }
    await terminal.print(options.json ? line : entry.text);
  }
}

async function findModel({ client }: Session, name: string): Promise<ModelAnswer | undefined> {
  const { models } = readAnswer(modelsAnswer, await client.get("api/models"));
  return models.find(({ model, aliases }) => model === name || aliases.includes(name));
}

/** The log of its one replica; where there is none, what is left of a start that failed. */
async function showModel(session: Session, { model, lastLines }: ModelAnswer, options: LogsOptions): Promise<void> {
  const { replicas } = readAnswer(replicasAnswer, await session.client.get("api/replicas"));
  const names = replicas.filter((replica) => replica.model === model).map(({ name }) => name);
  const [only, ...others] = names;
  if (others.length > 0) {
    const hint = "Name one of them.";
    throw new CliError(EXIT.usage, `${model} has several replicas: ${names.join(", ")}`, { hint });
  }
  if (only !== undefined) return showReplica(session, only, options);
  if (lastLines.length === 0) {
    const hint = `Start it with: aim-engine launch ${model}`;
    throw new CliError(EXIT.notFound, `${model} has no replica and so no log`, { hint });
  }
  await session.terminal.note(`${model} is not running; its last start failed with these lines:`);
  for (const text of lastLines.slice(Math.max(0, lastLines.length - options.tail))) {
    await session.terminal.print(options.json ? JSON.stringify({ text }) : text);
  }
}
