// doctor: what could keep replicas from running well, each finding with its fix. Asks the gateway; without one, looks itself.
import { environment, loadConfig, type Config } from "../../config.ts";
import { doctorAnswer, readAnswer, type CheckAnswer } from "../answers.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { failedWith, type CliError } from "../failure.ts";
import type { Io } from "../io.ts";
import { withGateway, type Session } from "../session.ts";
import { table } from "../table.ts";

export interface DoctorOptions {
  /** Its gateway is asked; without that one, it is what is examined. */
  readonly config?: string;
  readonly json?: boolean;
}

/** The gateway gives each of its runtimes half a minute. */
const ANSWER_MS = 120_000;

export async function doctor(io: Io, options: DoctorOptions): Promise<ExitCode> {
  const signal = io.interruptSignal();
  const config = options.config === undefined ? undefined : await loadConfig(options.config);
  return withGateway(towards(config, io), async (session) => {
    const answer = await ask(session, config).catch(async (error: unknown) => {
      if (!failedWith(error, EXIT.unreachable)) throw error;
      return { checks: await lookHere(session, { config, error, signal }) };
    });
    const { checks } = readAnswer(doctorAnswer, answer);
    if (options.json) await session.terminal.printJson(answer);
    else await tell(session, checks);
    return checks.some(({ status }) => status === "problem") ? EXIT.failure : EXIT.ok;
  });
}

/** To where the gateway of that configuration listens, unless AIM_ENGINE_URL says where to ask. */
function towards(config: Config | undefined, io: Io): Io {
  const env = io.env ?? environment();
  if (config === undefined || env["AIM_ENGINE_URL"] !== undefined) return io;
  const { host, port } = config.listen;
  const name = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return { ...io, env: { ...env, AIM_ENGINE_URL: `http://${name.includes(":") ? `[${name}]` : name}:${port}` } };
}

async function ask({ client, terminal }: Session, config: Config | undefined): Promise<unknown> {
  const answer = await client.get("api/doctor", { timeoutMs: ANSWER_MS });
  if (config !== undefined)
    await terminal.note(`asked the gateway at ${client.url}, which goes by the configuration that it was started with`);
  return answer;
}

interface Alone {
  readonly config: Config | undefined;
  /** Why the gateway could not be asked. */
  readonly error: CliError;
  readonly signal: AbortSignal;
}

async function lookHere({ terminal }: Session, { config, error, signal }: Alone): Promise<readonly CheckAnswer[]> {
  await terminal.note("no gateway answers: looking at this machine without one");
  const { examineHere } = await import("../local-doctor.ts");
  const fix = error.hint === undefined ? {} : { fix: error.hint };
  const gateway = { name: "gateway", status: "warning" as const, found: error.message, ...fix };
  return [gateway, ...(await examineHere(config, signal))];
}

async function tell({ terminal }: Session, checks: readonly CheckAnswer[]): Promise<void> {
  await terminal.print(
    table(
      ["STATUS", "CHECK", "FOUND"],
      checks.map(({ name, status, found }) => [status, name, found]),
    ),
  );
  const mendable = checks.filter(({ status, fix }) => status !== "ok" && fix !== undefined);
  for (const [fix, found] of Map.groupBy(mendable, (check) => check.fix ?? "")) {
    const names = new Set(found.map(({ name }) => name));
    await terminal.print(`fix ${[...names].join(", ")}: ${fix}`);
  }
}
