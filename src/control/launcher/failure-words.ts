// What became of a replica, in words: for those who waited, for operators, and for the decision whether to try again. Pure.
import { isAimError, messageOf } from "../../errors.ts";
import { maskSecrets } from "../../lib/secrets.ts";
import { formatDuration } from "../../lib/units.ts";
import type { ReplicaExit } from "../../runtime/driver.ts";
import type { ReplicaFailure } from "../fleet/failures.ts";

/** How a replica came to its end. */
export type End =
  /** Its start was refused, or took too long. */
  | { readonly kind: "error"; readonly error: Error }
  /** Nothing of it is left, and nobody of us removed it. */
  | { readonly kind: "vanished"; readonly afterOutage: boolean }
  | { readonly kind: "exited"; readonly exit: ReplicaExit; readonly afterOutage: boolean }
  /** Its engine had work and did none for that long. */
  | { readonly kind: "stalled"; readonly silentMs: number }
  /** One of its processes was killed for memory, and the rest of it does not answer. */
  | { readonly kind: "maimed" }
  /** It could not be put to sleep. */
  | { readonly kind: "sleepless"; readonly error: Error }
  /** It slept, and could not be woken. */
  | { readonly kind: "unwakeable"; readonly error: Error };

/** What the last log lines say. */
export interface Diagnosis {
  readonly code: string;
  readonly advice: string;
}

export interface Evidence {
  readonly model: string;
  readonly wasReady: boolean;
  readonly lastLines: readonly string[];
  readonly diagnose: (exit: ReplicaExit | undefined) => Diagnosis;
}

export function failureOf(end: End, evidence: Evidence): ReplicaFailure {
  switch (end.kind) {
    case "error":
      return failedStart(end.error, evidence);
    case "vanished":
      return vanished(end.afterOutage, evidence);
    case "exited":
      return end.afterOutage ? interrupted(evidence) : exited(end.exit, evidence);
    case "stalled":
      return stalled(end.silentMs, evidence);
    case "maimed":
      return maimed(evidence);
    case "sleepless":
      return spoilt(end.error, { cause: "sleep_failed", what: "be put to sleep" }, evidence);
    case "unwakeable":
      return spoilt(end.error, { cause: "wake_failed", what: "be woken" }, evidence);
  }
}

function failedStart(error: Error, { model, lastLines, diagnose }: Evidence): ReplicaFailure {
  const common = { message: `${model} could not be started`, advice: maskSecrets(messageOf(error)), lastLines };
  if (isAimError(error, "model_start_timeout")) {
    const { advice, code } = diagnose(undefined);
    const known = code === "crashed" ? remedyOf(error.data["kind"]) : `${advice} (${code})`;
    return { ...common, counts: true, code: error.code, cause: "start_timeout", message: error.message, advice: known };
  }
  if (isAimError(error, "runtime_unavailable")) {
    const message = `${model} could not be started: its runtime is not available`;
    return { ...common, counts: false, code: error.code, cause: error.code, message };
  }
  const cause = causeOf(error);
  if (cause === "gpu_taken") {
    const message = `${model} could not be started: somebody else took its GPUs`;
    return { ...common, counts: false, retryAtOnce: true, code: "no_capacity", cause, message };
  }
  return { ...common, counts: true, cause };
}

function remedyOf(kind: unknown): string {
  return kind === "silence"
    ? "its last log lines show where it stands still; raise startTimeout in its recipe if that may take longer"
    : "raise startTimeout in its recipe if it was still making progress";
}

/** Drivers say more than their code where they can: `disk_full`, `no_gpu_access`, `image_not_found`. */
function causeOf(error: Error): string {
  if (!isAimError(error)) return "crashed";
  const { failure } = error.data;
  return typeof failure === "string" ? failure : error.code;
}

function vanished(afterOutage: boolean, { model, lastLines }: Evidence): ReplicaFailure {
  const why = afterOutage
    ? "it did not survive an outage of its runtime"
    : "it was removed from outside, or could not be reached any more";
  const advice = `${why}; the next request starts a new one`;
  return { counts: false, cause: "vanished", message: `the replica of ${model} is gone`, advice, lastLines };
}

function interrupted({ model, lastLines }: Evidence): ReplicaFailure {
  return {
    counts: false,
    cause: "interrupted",
    message: `the replica of ${model} ended while its runtime was away`,
    advice: "its runtime was stopped or restarted, which ended it; the next request starts a new one",
    lastLines,
  };
}

function exited(exit: ReplicaExit, { model, wasReady, lastLines, diagnose }: Evidence): ReplicaFailure {
  const { code, advice } = diagnose(exit);
  const message = wasReady
    ? `${model} could not be kept running: its engine ended after it had been ready (${code})`
    : `${model} could not be started: its engine ended while it was loading (${code})`;
  const wasStopped = wasReady && wasAskedToEnd(exit);
  const failure = { counts: !wasStopped, cause: code, message, advice: `${describeExit(exit)}; ${advice}`, lastLines };
  return wasStopped ? { ...failure, wasStopped } : failure;
}

function stalled(silentMs: number, { model, lastLines, diagnose }: Evidence): ReplicaFailure {
  const { code, advice } = diagnose(undefined);
  return {
    counts: true,
    cause: "stalled",
    message: `${model} is replaced: its engine made no progress for ${formatDuration(silentMs)}`,
    advice: code === "crashed" ? "read its last log lines; a newer image may help" : `${advice} (${code})`,
    lastLines,
  };
}

function maimed({ model, lastLines, diagnose }: Evidence): ReplicaFailure {
  const { code, advice } = diagnose({ code: undefined, outOfMemory: true });
  const message = `${model} is replaced: one of its processes was killed for memory, and it answers no more`;
  return { counts: true, cause: code, message, advice, lastLines };
}

/** Its recipe starts as well as ever; it only does not sleep. */
function spoilt(
  error: Error,
  { cause, what }: { readonly cause: string; readonly what: string },
  { model, lastLines }: Evidence,
): ReplicaFailure {
  const why = maskSecrets(messageOf(error));
  return {
    counts: false,
    cause,
    message: `${model} is replaced: it could not ${what}`,
    advice: `${why}; until the gateway restarts, idle replicas of its recipe are not put to sleep but unloaded`,
    lastLines,
  };
}

/** Ended well, or by a signal that asks for it: somebody stopped it, which is no fault of its recipe. */
function wasAskedToEnd(exit: ReplicaExit): boolean {
  if (exit.outOfMemory) return false;
  return (
    exit.code === 0 || exit.code === 143 || exit.code === 130 || exit.signal === "SIGTERM" || exit.signal === "SIGINT"
  );
}

function describeExit(exit: ReplicaExit): string {
  if (exit.outOfMemory) return "it was killed for using too much memory";
  return exit.signal === undefined ? `it exited with code ${exit.code ?? "unknown"}` : `it was ended by ${exit.signal}`;
}
