// explain: what a launch would do now, and why; changes nothing.
import { explanationAnswer, readAnswer } from "../answers.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { describeExplanation } from "../explanation.ts";
import type { Io } from "../io.ts";
import { withGateway } from "../session.ts";
import { suggestName } from "../unknown-name.ts";
import { explainQuery, type Wanted, type Wishes } from "../wishes.ts";

export interface ExplainOptions extends Wishes {
  readonly json?: boolean;
}

export function explain(io: Io, wanted: Wanted<ExplainOptions>): Promise<ExitCode> {
  return withGateway(io, async (session) => {
    const { client, terminal } = session;
    const answer = await client.get(`api/explain?${explainQuery(wanted)}`).catch(async (error: unknown) => {
      throw await suggestName(session, error, wanted.model);
    });
    if (wanted.wishes.json) await terminal.printJson(answer);
    else await terminal.print(describeExplanation(readAnswer(explanationAnswer, answer).explanation));
    return EXIT.ok;
  });
}
