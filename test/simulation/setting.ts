// What the parts of a simulation share.
import type { Rig } from "../support/make-plane.ts";
import type { Seeded } from "./seeded.ts";

export type Deed = readonly [weight: number, deed: () => void];

export interface Setting {
  readonly random: Seeded;
  readonly rig: Rig;
  readonly models: readonly string[];
  /** Adds a line to the story. */
  readonly tell: (line: string) => void;
  /** Notes that something was not as it must be. */
  readonly blame: (what: string) => void;
}
