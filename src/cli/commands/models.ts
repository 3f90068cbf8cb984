// models: what can be asked for, running or not.
import { modelsAnswer, readAnswer } from "../answers.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { withGateway } from "../session.ts";
import { table } from "../table.ts";

const HEADS = ["MODEL", "STATUS", "REPLICAS", "IN-FLIGHT", "WAITING", "ALIASES", "REASON"];

export function models(io: Io, options: { readonly json?: boolean }): Promise<ExitCode> {
  return withGateway(io, async ({ client, terminal }) => {
    const answer = await client.get("api/models");
    if (options.json) {
      await terminal.printJson(answer);
      return EXIT.ok;
    }
    const known = readAnswer(modelsAnswer, answer).models;
    const rows = known
      .toSorted(usableFirst)
      .map((model) => [
        model.model,
        model.status,
        String(model.replicas),
        String(model.inFlight),
        String(model.waiting),
        model.aliases.join(", "),
        model.reason ?? "",
      ]);
    await terminal.print(table(HEADS, rows));
    return EXIT.ok;
  });
}

function usableFirst(a: { readonly status: string }, b: { readonly status: string }): number {
  return Number(a.status === "unavailable") - Number(b.status === "unavailable");
}
