// What went wrong lately, per recipe, and how long to leave it alone: 10 s doubling to 300 s, and never more than three starts that
// fail within 10 min; forgotten after 10 min of running.
import { AimError, type ErrorCode } from "../../errors.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Replica } from "../replica.ts";

export interface StartFailure {
  /** The cause as a code: "out_of_memory", "bad_argument", "crashed", … */
  readonly cause: string;
  /** One sentence for API clients: no paths, no log lines. */
  readonly message: string;
  /** What to do about it, for operators. */
  readonly advice: string;
  /** The last lines it logged; for operators only. */
  readonly lastLines: readonly string[];
  /** `Clock.now()` until which no new start is tried for requests. */
  readonly until: number;
  /** In a row. */
  readonly count: number;
}

export type NewFailure = Pick<StartFailure, "cause" | "message" | "advice" | "lastLines">;

/** How a replica came to its end, and whether that counts against its recipe. */
export interface ReplicaFailure extends NewFailure {
  /** `false` for ends that are no fault of the recipe: removed by hand, runtime gone. */
  readonly counts: boolean;
  /** Somebody from outside asked it to end, and it did: whoever wanted it is not given another one unasked. */
  readonly wasStopped?: true;
  /** It may well go better elsewhere: nothing is gained by waiting. */
  readonly retryAtOnce?: true;
  /** What its waiters are told; `model_start_failed` when absent. */
  readonly code?: ErrorCode;
}

/** What those are told who asked for a replica that cannot be had because of the failure. */
export function refusal(failure: NewFailure & { readonly code?: ErrorCode }, retryAfterMs: number): AimError {
  const { cause, advice, lastLines } = failure;
  const details = { retryAfterMs, data: { cause, advice, lastLines } };
  return new AimError(failure.code ?? "model_start_failed", failure.message, details);
}

/** What those are told who ask while the gateway goes down. */
export function shuttingDown(): AimError {
  return new AimError("shutting_down", "the gateway is shutting down; try again in a moment", { retryAfterMs: 5_000 });
}

const FIRST_MS = 10_000;
const MOST_MS = 300_000;
/** Requests never cause more starts that fail before they are ready than so many in so long, however short the pauses are. */
const MOST_FAILURES = 3;
const WINDOW_MS = 600_000;
/** Between two tries elsewhere; the first one is at once. */
const ELSEWHERE_MS = 1_000;
/** A replica that served this long was not part of a crash loop, nor is a failure this long after the last one. */
const FORGIVEN_AFTER_MS = 600_000;

export class Failures {
  readonly #clock: Clock;
  readonly #byRecipe = new Map<string, StartFailure>();
  readonly #overcome = new Set<string>();
  /** Recipes of which one could not be put to sleep or woken. */
  readonly #sleepless = new Set<string>();
  /** When each of the last starts failed that counted, by recipe. */
  readonly #times = new Map<string, readonly number[]>();
  /** When a start was last sent elsewhere, by recipe. */
  readonly #sentElsewhere = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A replica failed; returns what those are told who wait for it, unless they can go on waiting. */
  judge({ identity, readyAt }: Pick<Replica, "identity" | "readyAt">, failure: ReplicaFailure): AimError | undefined {
    if (failure.cause === "sleep_failed" || failure.cause === "wake_failed") this.#sleepless.add(identity.recipeId);
    // One that was found running and never answered says nothing about how a fresh start goes: it may have been on its way out.
    if (readyAt === undefined && identity.adopted) return undefined;
    const now = this.#clock.now();
    const until = this.note(identity.recipeId, failure, readyAt === undefined ? undefined : now - readyAt);
    const isOver = readyAt === undefined && failure.retryAtOnce !== true;
    return isOver ? refusal(failure, until - now) : undefined;
  }

  /** Returns until when new starts for requests are kept back. */
  note(recipeId: string, failure: ReplicaFailure, afterReadyMs?: number): number {
    if (failure.counts) return this.record(recipeId, failure, afterReadyMs).until;
    if (afterReadyMs !== undefined) return this.#clock.now();
    return failure.retryAtOnce ? this.#sendElsewhere(recipeId, failure) : this.#pause(recipeId, failure, FIRST_MS);
  }

  /** A start that failed, or (`afterReadyMs`) a replica that died by itself after serving that long. */
  record(recipeId: string, failure: NewFailure, afterReadyMs?: number): StartFailure {
    const before = this.#byRecipe.get(recipeId);
    const quietMs = Math.max(afterReadyMs ?? 0, this.#clock.now() - (before?.until ?? 0));
    const count = quietMs >= FORGIVEN_AFTER_MS ? 1 : (before?.count ?? 0) + 1;
    // One that had been ready may be restarted at once the first time: it did work.
    const steps = afterReadyMs === undefined ? count - 1 : count - 2;
    const delayMs = steps < 0 ? 0 : Math.min(FIRST_MS * 2 ** steps, MOST_MS);
    const now = this.#clock.now();
    const opensAt = afterReadyMs === undefined ? this.#windowOpensAt(recipeId, count) : this.#stillUntil(before, count);
    const until = Math.max(now + delayMs, opensAt);
    const entry: StartFailure = { ...failure, count, until };
    this.#byRecipe.set(recipeId, entry);
    this.#overcome.delete(recipeId);
    return entry;
  }

  /** A recipe that gets ready works: its deaths make the pauses longer, but do not stop its starts. One that is stopped stays so. */
  #stillUntil(before: StartFailure | undefined, count: number): number {
    return count === 1 ? 0 : (before?.until ?? 0);
  }

  /** Notes one more start that failed; returns when the next one may follow it. */
  #windowOpensAt(recipeId: string, count: number): number {
    const now = this.#clock.now();
    const before = count === 1 ? [] : (this.#times.get(recipeId) ?? []);
    const times = [...before, now].slice(-MOST_FAILURES);
    this.#times.set(recipeId, times);
    return times.length < MOST_FAILURES ? now : (times[0] ?? now) + WINDOW_MS;
  }

  /** No fault of the recipe, but to try again at once would fail again at once. */
  #pause(recipeId: string, failure: NewFailure, delayMs: number): number {
    const before = this.#byRecipe.get(recipeId);
    const until = Math.max(before?.until ?? 0, this.#clock.now() + delayMs);
    this.#byRecipe.set(recipeId, { ...failure, count: before?.count ?? 0, until });
    this.#overcome.delete(recipeId);
    return until;
  }

  /** At once, unless that was just tried: then after a breath, so that two who compete do not spin. */
  #sendElsewhere(recipeId: string, failure: NewFailure): number {
    const now = this.#clock.now();
    const isAgain = now - (this.#sentElsewhere.get(recipeId) ?? -Infinity) < FIRST_MS;
    this.#sentElsewhere.set(recipeId, now);
    return isAgain ? this.#pause(recipeId, failure, ELSEWHERE_MS) : now;
  }

  /** An operator's launch tries again at once. */
  forgive(recipeId: string): void {
    this.#byRecipe.delete(recipeId);
    this.#times.delete(recipeId);
  }

  /** A start succeeded: the failure is history, but still counts towards the next pause. */
  recovered(recipeId: string): void {
    this.#overcome.add(recipeId);
  }

  /** Why the last start failed; undefined when it succeeded. */
  last(recipeId: string): StartFailure | undefined {
    return this.#overcome.has(recipeId) ? undefined : this.#byRecipe.get(recipeId);
  }

  /** Whether replicas of the recipe may be put to sleep: not for as long as the gateway lives after that failed once. */
  maySleep(recipeId: string): boolean {
    return !this.#sleepless.has(recipeId);
  }

  /** Those that still keep new starts back. */
  active(): ReadonlyMap<string, StartFailure> {
    const now = this.#clock.now();
    return new Map([...this.#byRecipe].filter(([, failure]) => failure.until > now));
  }
}
