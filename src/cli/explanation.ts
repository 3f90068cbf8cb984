// What a launch would do, for people and as the exit code of a dry run.
import type { ExplanationAnswer } from "./answers.ts";
import { EXIT, type ExitCode } from "./exit-codes.ts";
import { commandLine, facts } from "./facts.ts";

/** The exit code of a dry run. */
export const VERDICT_EXIT: Readonly<Record<ExplanationAnswer["verdict"], ExitCode>> = {
  serves: EXIT.ok,
  wakes: EXIT.ok,
  starts: EXIT.ok,
  evicts: EXIT.ok,
  waits: EXIT.noCapacity,
  refused: EXIT.startFailed,
};

/** One fact a line; what is not known has none. */
export function describeExplanation(explanation: ExplanationAnswer): string {
  const { model, verdict, why, summary, recipe, profile, runtime, image, argv, gpus, evicts, reasons } = explanation;
  return facts([
    ["MODEL", model],
    ["VERDICT", `${verdict}${why === undefined ? "" : ` (${why})`}: ${summary}`],
    ["RECIPE", recipe],
    ["PROFILE", profile],
    ["RUNTIME", runtime],
    ["IMAGE", image],
    ["COMMAND", commandLine(argv)],
    ["GPUS", gpus.join(", ")],
    ["EVICTS", evicts.map(({ replica, reason }) => `${replica}: ${reason}`)],
    ["WHY", reasons],
  ]);
}
