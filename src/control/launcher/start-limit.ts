// How long a start may take: a while for each phase without anything new, and a bound on the whole that a start which goes on
// may exceed.
import { AimError } from "../../errors.ts";
import type { Clock, Timer } from "../../lib/clock.ts";
import { formatDuration } from "../../lib/units.ts";
import type { StartPhaseName, StartProgress } from "./phases.ts";

const MINUTE_MS = 60_000;

/** Longest silence, by phase. */
const QUIET_MS: Readonly<Record<Exclude<StartPhaseName, "pulling">, number>> = {
  pending: 10 * MINUTE_MS,
  starting: 10 * MINUTE_MS,
  loading: 10 * MINUTE_MS,
  weights: 10 * MINUTE_MS,
  // A single module of AITER was seen to take nine minutes.
  compile: 20 * MINUTE_MS,
  graphs: 10 * MINUTE_MS,
  "warm-up": 10 * MINUTE_MS,
};

const WHILE: Readonly<Record<StartPhaseName, string>> = {
  pending: "before its runtime began",
  pulling: "while pulling the image",
  starting: "while its container was being made",
  loading: "before it said how far it is",
  weights: "while loading weights",
  compile: "while compiling",
  graphs: "while capturing graphs",
  "warm-up": "while warming up",
};

/** How much longer than its limit a start may take that goes on. */
const EXTENSION = 3;

export interface Due {
  readonly at: number;
  readonly kind: "silence" | "total";
  readonly limitMs: number;
}

/** When it will have taken too long, if nothing new comes. */
export function dueOf(progress: StartProgress, timeoutMs: number): Due {
  const { phase, isBlind, hasMoved } = progress;
  // The driver watches over the pull: only it sees the bytes.
  if (phase === "pulling") return { at: Infinity, kind: "total", limitMs: Infinity };
  const quietMs = isBlind ? Infinity : Math.min(QUIET_MS[phase], timeoutMs);
  const wholeMs = timeoutMs * (hasMoved ? EXTENSION : 1);
  const silence: Due = { at: progress.changedAt + quietMs, kind: "silence", limitMs: quietMs };
  const total: Due = { at: progress.limitedFrom + wholeMs, kind: "total", limitMs: wholeMs };
  return silence.at < total.at ? silence : total;
}

/** Why a start is given up whose time is over. */
export function tooLate(model: string, progress: StartProgress, due: Due): AimError {
  const { phase, text } = progress;
  const took = formatDuration(due.limitMs);
  const seen = text === "" ? "" : ` (last seen: ${text})`;
  const message =
    due.kind === "silence"
      ? `${model} was not ready: no progress for ${took} ${WHILE[phase]}${seen}`
      : `${model} was not ready after ${took}, given up ${WHILE[phase]}${seen}`;
  return new AimError("model_start_timeout", message, { data: { kind: due.kind, phase, limitMs: due.limitMs } });
}

/** Aborts with `model_start_timeout` when the start has taken too long, and with the parent when that aborts. */
export class StartLimit {
  readonly #clock: Clock;
  readonly #controller = new AbortController();
  readonly #parent: AbortSignal;
  readonly #subject: { readonly model: string; readonly progress: StartProgress; readonly timeoutMs: number };
  #timer: Timer | undefined;

  constructor(
    clock: Clock,
    subject: { readonly model: string; readonly progress: StartProgress; readonly timeoutMs: number },
    parent: AbortSignal,
  ) {
    this.#clock = clock;
    this.#subject = subject;
    this.#parent = parent;
    if (parent.aborted) this.#controller.abort(parent.reason);
    parent.addEventListener("abort", this.#onParentAbort, { once: true });
    this.look();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Looks at the progress again; needed where a limit may have become shorter, as when a phase begins. */
  look(): void {
    this.#timer?.cancel();
    if (this.signal.aborted) return;
    const { model, progress, timeoutMs } = this.#subject;
    const due = dueOf(progress, timeoutMs);
    const leftMs = due.at - this.#clock.now();
    if (leftMs > 0) this.#timer = this.#clock.setTimer(leftMs, () => this.look());
    else this.#controller.abort(tooLate(model, progress, due));
  }

  /** The work is done: stops the timer and lets go of the parent. */
  done(): void {
    this.#timer?.cancel();
    this.#parent.removeEventListener("abort", this.#onParentAbort);
  }

  readonly #onParentAbort = () => this.#controller.abort(this.#parent.reason);
}
