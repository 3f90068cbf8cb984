// The simulated engine as a program: `serve MODEL [flags]`, with the command line of vLLM.
import { isAimError } from "../errors.ts";
import { systemClock } from "../lib/clock.ts";
import { systemRandom } from "../lib/random.ts";
import { VERSION } from "./core.ts";
import { readServeOptions } from "./flags.ts";
import { knobHelp } from "./knobs.ts";
import { Log } from "./log.ts";
import { Interruption, serve } from "./serve.ts";

const USAGE = "usage: vllm serve [model_tag] [options]\n";
/** argparse's exit code for a command line it cannot read. */
const USAGE_EXIT_CODE = 2;

/** Runs it as this process: returns only after `--help` and the like, else exits with the engine's own code. */
export async function runSim(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const text = textFor(argv);
  if (text !== undefined) return void process.stdout.write(text);
  try {
    process.exit(await run(argv, env));
  } catch (error) {
    if (!isAimError(error, "invalid_value")) throw error;
    process.stderr.write(`${USAGE}vllm serve: error: ${error.message}\n`);
    process.exit(USAGE_EXIT_CODE);
  }
}

function textFor(argv: readonly string[]): string | undefined {
  if (argv.includes("--sim-help")) return knobHelp();
  if (argv.includes("--version") || argv.includes("-v")) return `${VERSION}\n`;
  if (argv.includes("--help") || argv.includes("-h")) return `${USAGE}\n${knobHelp()}`;
  return undefined;
}

async function run(argv: readonly string[], env: Readonly<Record<string, string | undefined>>): Promise<number> {
  const options = readServeOptions(argv, env);
  const stop = new AbortController();
  // Whoever read the log went away: the engine lives on without a reader.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  const log = new Log(
    { out: (text) => void process.stdout.write(text), err: (text) => void process.stderr.write(text) },
    systemClock,
  );
  process.on("SIGTERM", () => {
    if (options.knobs.ignoreSigterm) log.warn("SIGTERM is ignored.");
    else stop.abort(new Interruption("SIGTERM"));
  });
  process.on("SIGINT", () => stop.abort(new Interruption("SIGINT")));
  return serve(options, { clock: systemClock, random: systemRandom, log }, stop.signal);
}

if (import.meta.main) await runSim(process.argv.slice(2), process.env);
