// sim: the simulated engine, with a command line of its own that is none of ours to read.
import { environment } from "../../config.ts";
import { runSim } from "../../sim/main.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import type { Io } from "../io.ts";

/** A running engine ends the process itself, with the engine's exit code. */
export async function sim(io: Io, argv: readonly string[]): Promise<ExitCode> {
  await runSim(argv, io.env ?? environment());
  return EXIT.ok;
}
