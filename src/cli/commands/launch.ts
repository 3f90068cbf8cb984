// launch: asks for replicas and, unless told otherwise, stays until they are ready.
import { sleep } from "../../lib/clock.ts";
import { explanationAnswer, launchAnswer, readAnswer } from "../answers.ts";
import { awaitReady } from "../await-ready.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { describeExplanation, VERDICT_EXIT } from "../explanation.ts";
import { CliError, isLeaving, whyLeft } from "../failure.ts";
import { formatState } from "../format.ts";
import type { Io } from "../io.ts";
import { withGatewayFor, type Session } from "../session.ts";
import { suggestName } from "../unknown-name.ts";
import { explainQuery, launchBody, type LaunchWishes, type Wanted } from "../wishes.ts";

export interface LaunchOptions extends LaunchWishes {
  readonly detach?: boolean;
  readonly dryRun?: boolean;
  /** How long to stay; the start itself goes on. */
  readonly timeout?: number;
}

const EXPLAIN_AFTER_MS = 3_000;

/** The flags are the engine's, and none of ours to read. */
export function launch(io: Io, wanted: Wanted<LaunchOptions>, flags: readonly string[]): Promise<ExitCode> {
  const { timeout, dryRun, detach } = wanted.wishes;
  const body = launchBody(wanted, flags);
  return withGatewayFor(io, { timeoutMs: timeout, missed: "not ready" }, async (session, signal) => {
    if (dryRun) return showPlan(session, await ask(session, wanted, { ...body, dryRun }));
    return begin(io, session, { answer: await ask(session, wanted, body), detach, signal });
  });
}

async function ask(session: Session, wanted: Wanted<LaunchOptions>, body: object): Promise<unknown> {
  const answered = new AbortController();
  const explaining = explainWait(session, wanted, answered.signal);
  try {
    return await session.client.post("api/replicas", body);
  } catch (error) {
    if (!isLeaving(error)) throw await suggestName(session, error, wanted.model);
    await session.terminal.note(`${whyLeft(error)}: the launch is withdrawn unless it has begun: see aim-engine ps`);
    throw new CliError(error.exitCode, "");
  } finally {
    answered.abort(new Error("the launch was answered"));
    await explaining;
  }
}

/** Whoever waits for room for long should know for what. */
async function explainWait(session: Session, wanted: Wanted<LaunchOptions>, answered: AbortSignal): Promise<void> {
  try {
    await sleep(session.clock, EXPLAIN_AFTER_MS, answered);
    const answer = await session.client.get(`api/explain?${explainQuery(wanted)}`);
    const { summary } = readAnswer(explanationAnswer, answer).explanation;
    if (!answered.aborted) await session.terminal.note(`waiting: ${summary}`);
  } catch {
    // Answered meanwhile, or nothing to tell: a courtesy either way, and the launch has its own answer.
  }
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
