// The command line: what can be said. What is done about it lies in commands/, loaded only when asked for.
import { Command, CommanderError } from "commander";
import { AS_JSON, type Calling, type JsonOption } from "./calling.ts";
import { EXIT, EXIT_MEANINGS } from "./exit-codes.ts";
import type { Io } from "./io.ts";
import { addMachineVerbs } from "./machine-verbs.ts";
import { addReplicaVerbs } from "./replica-verbs.ts";
import { reportFailure } from "./report.ts";
import { Terminal } from "./terminal.ts";
import { VERSION } from "./version.ts";

/** Carries out one command line (without program name); resolves with its exit code, never rejects. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  let code: number = EXIT.ok;
  const keep = async (work: Promise<number>) => {
    code = await work;
  };
  try {
    if (argv[0] === "sim") return await (await import("./commands/sim.ts")).sim(io, argv.slice(1));
    const { own, engineFlags } = split(argv);
    const program = createProgram(io, { keep, engineFlags });
    if (argv.length === 0) program.outputHelp();
    else await program.parseAsync([...own], { from: "user" });
    return code;
  } catch (error) {
    // Commander has said what is wrong, or printed the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    return reportFailure(new Terminal(io), error);
  }
}

/** What stands after "--" of a launch is for the engine; elsewhere it means that names follow. */
function split(argv: readonly string[]): { readonly own: readonly string[]; readonly engineFlags: readonly string[] } {
  const end = argv[0] === "launch" ? argv.indexOf("--") : -1;
  return end < 0 ? { own: argv, engineFlags: [] } : { own: argv.slice(0, end), engineFlags: argv.slice(end + 1) };
}

const NOT_CALLED: Omit<Calling, "io"> = { engineFlags: [], keep: async () => {} };

/** Every command with its help; the reference page is made from it. */
export function createProgram(io: Io, call: Omit<Calling, "io"> = NOT_CALLED): Command {
  const calling = { io, ...call };
  const program = new Command("aim-engine")
    .description("An OpenAI-compatible gateway that starts models when they are asked for.")
    .version(VERSION)
    .configureOutput({ writeOut: (text) => io.stdout.write(text), writeErr: (text) => io.stderr.write(text) })
    .exitOverride()
    .addHelpText("after", helpFooter());
  addServing(program, calling);
  addReplicaVerbs(program, calling);
  addMachineVerbs(program, calling);
  pointToOwnHelp(program, "aim-engine");
  return program;
}

/** What is wrong with the line of a command is in the help of that command, not in the list of all. */
function pointToOwnHelp(command: Command, name: string): void {
  command.showHelpAfterError(`See "${name} --help".`);
  for (const verb of command.commands) pointToOwnHelp(verb, `${name} ${verb.name()}`);
}

function addServing(program: Command, { io, keep }: Calling): void {
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
    .option(...AS_JSON)
    .action(async (options: JsonOption) => keep((await import("./commands/version.ts")).version(io, options)));
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
