// What a command is called with, besides its own arguments and options.
import type { Io } from "./io.ts";

export interface Calling {
  readonly io: Io;
  /** What stood after "--" on the command line of a launch: flags of the engine. */
  readonly engineFlags: readonly string[];
  /** Runs a work and keeps its exit code. */
  readonly keep: (work: Promise<number>) => Promise<void>;
}

export interface JsonOption {
  readonly json?: boolean;
}

export const AS_JSON = ["--json", "as the admin API answers"] as const;
