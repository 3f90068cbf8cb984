// The ways to share out GPUs that are compared, each a `plan` over the same snapshots.
import type { ControllerDeps } from "../../src/control/controller.ts";
import { plan } from "../../src/control/planner.ts";
import { planFifo } from "./policies/fifo.ts";
import { planFixed } from "./policies/fixed.ts";
import { planLru } from "./policies/lru.ts";

export interface Policy {
  readonly name: string;
  /** One sentence. */
  readonly about: string;
  readonly plan: ControllerDeps["plan"];
  /** Nothing is unloaded for being idle. */
  readonly keepsForEver?: true;
}

export const OURS: Policy = { name: "ours", about: "the planner, with its default settings", plan };

/** Those that others have. */
export const BASELINES: readonly Policy[] = [
  {
    name: "lru",
    about:
      "whoever waits gets the GPUs of the least recently used idle model at once; a busy one gives way when both have had a minute",
    plan: planLru,
  },
  {
    name: "fifo-swap",
    about:
      "whoever has waited longest gets the GPUs of the model that was loaded first, as soon as nothing is in flight there",
    plan: planFifo,
    keepsForEver: true,
  },
  {
    name: "no-eviction",
    about: "what fits stays; the rest is refused at once",
    plan: planFixed,
    keepsForEver: true,
  },
];

export const POLICIES: readonly Policy[] = [OURS, ...BASELINES];
