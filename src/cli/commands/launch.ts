// launch: asks for replicas and, unless told otherwise, stays until they are ready.
import { explanationAnswer, launchAnswer, readAnswer } from "../answers.ts";
import { awaitReady } from "../await-ready.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { describeExplanation, VERDICT_EXIT } from "../explanation.ts";
import { formatState } from "../format.ts";
import type { Io } from "../io.ts";
import { withGatewayFor, type Session } from "../session.ts";
import { suggestName } from "../unknown-name.ts";
import { launchBody, type LaunchWishes, type Wanted } from "../wishes.ts";

export interface LaunchOptions extends LaunchWishes {
  readonly detach?: boolean;
  readonly dryRun?: boolean;
  /** How long to stay; the start itself goes on. */
  readonly timeout?: number;
}

/** The flags are the engine's, and none of ours to read. */
export function launch(io: Io, wanted: Wanted<LaunchOptions>, flags: readonly string[]): Promise<ExitCode> {
  const { timeout, dryRun, detach } = wanted.wishes;
  const body = launchBody(wanted, flags);
  return withGatewayFor(io, { timeoutMs: timeout, missed: "not ready" }, async (session, signal) => {
    const asked = session.client.post("api/replicas", dryRun ? { ...body, dryRun } : body);
    const answer = await asked.catch(async (error: unknown) => {
      throw await suggestName(session, error, wanted.model);
    });
    return dryRun ? showPlan(session, answer) : begin(io, session, { answer, detach, signal });
  });
}

async function showPlan({ terminal }: Session, answer: unknown): Promise<ExitCode> {
  const { explanation } = readAnswer(explanationAnswer, answer);
  await terminal.print(describeExplanation(explanation));
  return VERDICT_EXIT[explanation.verdict];
}

interface Begun {
  readonly answer: unknown;
  readonly detach: boolean | undefined;
  readonly signal: AbortSignal;
}

async function begin(io: Io, session: Session, { answer, detach, signal }: Begun): Promise<ExitCode> {
  const { replicas, created, reasons } = readAnswer(launchAnswer, answer);
  const said = created ? reasons : [];
  for (const reason of said) await session.terminal.note(reason);
  for (const { name, state, reason, etaSeconds } of created ? [] : replicas)
    await session.terminal.note(`${name} is there already (${formatState(state, reason, etaSeconds)})`);
  if (!detach && replicas.some(({ state }) => state !== "ready"))
    return awaitReady(io, session, { replicas, said, signal });
  for (const { name } of replicas) await session.terminal.print(name);
  return EXIT.ok;
}
