// The command line: what can be said. What is done about it lies in commands/, loaded only when asked for.
import { Command, CommanderError, InvalidArgumentError } from "commander";
import { parseDuration } from "../lib/units.ts";
import { EXIT, EXIT_MEANINGS } from "./exit-codes.ts";
import type { LaunchOptions } from "./commands/launch.ts";
import type { EventsOptions } from "./commands/events.ts";
import type { LogsOptions } from "./commands/logs.ts";
import type { PsOptions } from "./commands/ps.ts";
import type { StopOptions } from "./commands/stop.ts";
import type { Io } from "./io.ts";
import { reportFailure } from "./report.ts";
import { Terminal } from "./terminal.ts";
import { VERSION } from "./version.ts";

type JsonOption = { readonly json?: boolean };

/** Runs a work and keeps its exit code. */
type Run = (work: Promise<number>) => Promise<void>;

/** Carries out one command line (without program name); resolves with its exit code, never rejects. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  let code: number = EXIT.ok;
  const keep: Run = async (work) => {
    code = await work;
  };
  try {
    if (argv[0] === "sim") return await (await import("./commands/sim.ts")).sim(io, argv.slice(1));
    const program = createProgram(io, keep);
    if (argv.length === 0) program.outputHelp();
    else await program.parseAsync([...argv], { from: "user" });
    return code;
  } catch (error) {
    // Commander has said what is wrong, or printed the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    return reportFailure(new Terminal(io), error);
  }
}

/** Every command with its help; the reference page is made from it. */
export function createProgram(io: Io, keep: Run = async () => {}): Command {
  const program = new Command("aim-engine")
    .description("An OpenAI-compatible gateway that starts models when they are asked for.")
    .version(VERSION)
    .configureOutput({ writeOut: (text) => io.stdout.write(text), writeErr: (text) => io.stderr.write(text) })
    .exitOverride()
    .showHelpAfterError('See "aim-engine --help".')
    .addHelpText("after", helpFooter());
  addServing(program, io, keep);
  addReplicas(program, io, keep);
  addFacts(program, io, keep);
  return program;
}

function addServing(program: Command, io: Io, keep: Run): void {
  program
    .command("serve")
    .description("run the gateway")
    .option("--config <file>", "configuration file")
    .option("--listen <host:port>", "address to listen on, instead of the configured one")
    .action(async (options: { readonly config?: string; readonly listen?: string }) => {
      await keep((await import("./serve.ts")).serve(options));
    });
  // Only for the help: `run` hands its command line over unread.
  program.command("sim").description("run the simulated engine, e.g. sim serve demo --port 9000");
  program
    .command("version")
    .description("show the versions of this program and of the gateway")
    .option("--json", "as the admin API answers")
    .action(async (options: JsonOption) => keep((await import("./commands/version.ts")).version(io, options)));
}

function addReplicas(program: Command, io: Io, keep: Run): void {
  program
    .command("launch")
    .description("start a model and wait until it is ready")
    .argument("<model>", "model id or alias")
    .argument("[gpus]", "number of GPUs", wholeNumber)
    .option("--precision <name>", "fp16, bf16, fp8, int8 or int4")
    .option("--engine <name>", "vllm, sglang, llama.cpp, sim or openai")
    .option("--recipe <id>", "this recipe and no other")
    .option("--keep-alive <duration>", 'idle time before it is unloaded, e.g. 30m or "forever"', durationText)
    .option("--detach", "do not wait")
    .option("--timeout <duration>", "wait no longer; the start goes on", duration)
    .action(async (model: string, gpus: number | undefined, options: LaunchOptions) =>
      keep((await import("./commands/launch.ts")).launch(io, model, gpus, options)),
    );
  program
    .command("stop")
    .description("stop replicas, after the requests they are serving")
    .argument("<names...>", "replicas or models")
    .option("--force", "cut the requests they are serving")
    .action(async (names: string[], options: StopOptions) =>
      keep((await import("./commands/stop.ts")).stop(io, names, options)),
    );
  program
    .command("ps")
    .description("list replicas")
    .option("-a, --all", "also those that failed")
    .option("-q, --quiet", "names only")
    .option("--json", "as the admin API answers, with all replicas")
    .action(async (options: PsOptions) => keep((await import("./commands/ps.ts")).ps(io, options)));
  program
    .command("logs")
    .description("show the output of a replica")
    .argument("<name>", "replica, or a model with one replica")
    .option("-f, --follow", "go on as it comes")
    .option("--tail <lines>", "begin with the last lines", wholeNumber, 100)
    .option("--json", "one object a line")
    .action(async (name: string, options: LogsOptions) =>
      keep((await import("./commands/logs.ts")).logs(io, name, options)),
    );
}

function addFacts(program: Command, io: Io, keep: Run): void {
  const add = (name: string, description: string) =>
    program.command(name).description(description).option("--json", "as the admin API answers");

  add("models", "list what can be asked for, running or not").action(async (options: JsonOption) =>
    keep((await import("./commands/models.ts")).models(io, options)),
  );
  add("recipes", "list how models can be served").action(async (options: JsonOption) =>
    keep((await import("./commands/recipes.ts")).recipes(io, options)),
  );
  add("gpus", "list GPUs and who holds them").action(async (options: JsonOption) =>
    keep((await import("./commands/gpus.ts")).gpus(io, options)),
  );
  add("events", "show what the gateway did")
    .option("-f, --follow", "go on as it happens")
    .action(async (options: EventsOptions) => keep((await import("./commands/events.ts")).events(io, options)));
}

function wholeNumber(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Expected a whole number.");
}

function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new InvalidArgumentError('Expected a duration such as "90s", "30m" or "forever".');
  return ms;
}

/** Checked here, understood by the gateway. */
function durationText(text: string): string {
  duration(text);
  return text;
}

function helpFooter(): string {
  const codes = Object.entries(EXIT_MEANINGS).map(([code, meaning]) => `  ${code.padEnd(4)} ${meaning}`);
  return `
Environment:
  AIM_ENGINE_URL       where the gateway is (http://127.0.0.1:8000)
  AIM_ENGINE_API_KEY   a key of its configuration, when it has any

Exit codes:
${codes.join("\n")}`;
}
