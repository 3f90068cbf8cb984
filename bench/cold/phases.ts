// What a cold start consists of, and whose time each part is. Pure.

/** Moments of one cold start, in milliseconds since the Unix epoch. */
export interface Stamps {
  /** The client sends its request. */
  readonly asked: number;
  /** The start is decided: the replica exists in the fleet. */
  readonly decided: number;
  /** The runtime is asked to make it: Docker by "create", the operating system by a new process. */
  readonly create: number;
  readonly created: number;
  /** The runtime is asked to run it; a process runs as soon as it is made. */
  readonly start: number;
  readonly started: number;
  /** From here on its engine would answer /health, as it says itself. */
  readonly answers: number;
  /** We know that it is ready: health, its list of models, one token. */
  readonly ready: number;
  /** The client has the first piece of the answer. */
  readonly firstByte: number;
}

export interface Phase {
  readonly name: string;
  /** `theirs`: the container engine's, or the inference engine's. */
  readonly whose: "ours" | "theirs";
  readonly from: keyof Stamps;
  readonly to: keyof Stamps;
}

export const PHASES: readonly Phase[] = [
  { name: "request to decision", whose: "ours", from: "asked", to: "decided" },
  { name: "decision to create call", whose: "ours", from: "decided", to: "create" },
  { name: "create call", whose: "theirs", from: "create", to: "created" },
  { name: "created to start call", whose: "ours", from: "created", to: "start" },
  { name: "start call", whose: "theirs", from: "start", to: "started" },
  { name: "engine loads", whose: "theirs", from: "started", to: "answers" },
  { name: "answers /health to seen ready", whose: "ours", from: "answers", to: "ready" },
  { name: "ready to first byte", whose: "ours", from: "ready", to: "firstByte" },
];

/** What is promised, and within how much. */
export const BARS: readonly (Omit<Phase, "whose"> & { readonly limitMs: number })[] = [
  { name: "request to start call", from: "asked", to: "start", limitMs: 150 },
  { name: "answers /health to first byte", from: "answers", to: "firstByte", limitMs: 150 },
];

export function span(stamps: Stamps, { from, to }: Pick<Phase, "from" | "to">): number {
  return stamps[to] - stamps[from];
}

/** All but what the container engine and the inference engine take. */
export function ours(stamps: Stamps): number {
  return PHASES.filter(({ whose }) => whose === "ours").reduce((sum, phase) => sum + span(stamps, phase), 0);
}
