// recipes: how models can be served, and which recipe files cannot be used.
import { readAnswer, recipesAnswer } from "../answers.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { withGateway } from "../session.ts";
import { table } from "../table.ts";

const HEADS = ["RECIPE", "MODEL", "ENGINE", "RUNTIME", "PRECISION", "HARDWARE", "GPUS"];

export function recipes(io: Io, options: { readonly json?: boolean }): Promise<ExitCode> {
  return withGateway(io, async ({ client, terminal }) => {
    const answer = await client.get("api/recipes");
    if (options.json) {
      await terminal.printJson(answer);
      return EXIT.ok;
    }
    const { recipes, problems } = readAnswer(recipesAnswer, answer);
    const rows = recipes.map((recipe) => [
      recipe.id,
      recipe.model,
      recipe.engine,
      recipe.runtime,
      recipe.precision,
      recipe.hardware.join(", "),
      // The default is marked.
      recipe.profiles.map((profile) => `${profile.gpus}${profile.default ? "*" : ""}`).join(", "),
    ]);
    await terminal.print(table(HEADS, rows));
    for (const { file, message } of problems) {
      await terminal.note(`cannot be used: ${message.includes(file) ? message : `${file}: ${message}`}`);
    }
    return EXIT.ok;
  });
}
