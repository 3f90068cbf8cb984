// "No such model or replica" with the name that was probably meant.
import { nearest } from "../lib/nearest.ts";
import { modelsAnswer, readAnswer, replicasAnswer } from "./answers.ts";
import { EXIT } from "./exit-codes.ts";
import { CliError, failedWith } from "./failure.ts";
import type { Session } from "./session.ts";

/** Passes other errors on as they are. */
export async function suggestName(session: Session, error: unknown, name: string): Promise<unknown> {
  if (!failedWith(error, EXIT.notFound) || /did you mean/i.test(error.message)) return error;
  const meant = nearest(name, await knownNames(session));
  if (meant === undefined || meant === name) return error;
  return new CliError(error.exitCode, error.message, { hint: `Did you mean "${meant}"?`, cause: error });
}

async function knownNames({ client }: Session): Promise<readonly string[]> {
  try {
    const { models } = readAnswer(modelsAnswer, await client.get("api/models"));
    const { replicas } = readAnswer(replicasAnswer, await client.get("api/replicas"));
    return [...models.flatMap(({ model, aliases }) => [model, ...aliases]), ...replicas.map(({ name }) => name)];
  } catch {
    // A suggestion is a courtesy; the error that it would have gone with is reported in any case.
    return [];
  }
}
