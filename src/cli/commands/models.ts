// models: what can be asked for, running or not.
import { modelsAnswer, readAnswer } from "../answers.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { formatState } from "../format.ts";
import type { Io } from "../io.ts";
import { withGateway } from "../session.ts";
import { table } from "../table.ts";

const HEADS = ["MODEL", "STATUS", "REPLICAS", "IN-FLIGHT", "WAITING", "ALIASES"];

export function models(io: Io, options: { readonly json?: boolean }): Promise<ExitCode> {
  return withGateway(io, async ({ client, terminal }) => {
    const answer = await client.get("api/models");
    if (options.json) {
      await terminal.printJson(answer);
      return EXIT.ok;
    }
    const rows = readAnswer(modelsAnswer, answer).models.map((model) => [
      model.model,
      formatState(model.status, model.reason),
      String(model.replicas),
      String(model.inFlight),
      String(model.waiting),
      model.aliases.join(", "),
    ]);
    await terminal.print(table(HEADS, rows));
    return EXIT.ok;
  });
}
