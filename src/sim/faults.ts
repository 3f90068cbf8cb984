// The faults that single requests meet, once the spare ones are used up.
import type { Knobs, Scope } from "./knobs.ts";

/** What one request meets; Infinity tokens means never. */
export interface RequestFaults {
  readonly disguise: "html" | "redirect" | undefined;
  readonly stallAfter: number;
  readonly cutAfter: number;
  readonly errorAfter: number;
}

const HEALTHY: RequestFaults = {
  disguise: undefined,
  stallAfter: Infinity,
  cutAfter: Infinity,
  errorAfter: Infinity,
};

export class Faults {
  readonly #knobs: Knobs;
  #spare: number;

  constructor(knobs: Knobs) {
    this.#knobs = knobs;
    this.#spare = knobs.spareRequests;
  }

  /** The faults of the next request; an inference uses up a spare one where there is one left. */
  next(kind: "inference" | "other"): RequestFaults {
    if (kind === "other") return { ...HEALTHY, disguise: this.#disguise(["all"]) };
    if (this.#spare > 0) {
      this.#spare--;
      return HEALTHY;
    }
    const { hang, stallAfterTokens, cutAfterTokens, errorAfterTokens } = this.#knobs;
    return {
      disguise: this.#disguise(["all", "inference"]),
      stallAfter: hang ? 0 : (stallAfterTokens ?? Infinity),
      cutAfter: cutAfterTokens ?? Infinity,
      errorAfter: errorAfterTokens ?? Infinity,
    };
  }

  #disguise(scopes: readonly Scope[]): RequestFaults["disguise"] {
    if (scopes.includes(this.#knobs.html)) return "html";
    return scopes.includes(this.#knobs.redirect) ? "redirect" : undefined;
  }
}
