// What the main thread and its workers tell each other.
import type { BalanceName } from "../catalog/recipe.ts";
import type { LeaseOutcome, RequestTraits } from "../control/fleet/lease.ts";
import { AimError, type ErrorCode, messageOf } from "../errors.ts";
import type { Samples } from "../telemetry/gathering.ts";

/** A replica whose slots workers may take. */
export interface LentReplica {
  /** Its place in the tally; another replica gets it when all workers have said that they forgot this one. */
  readonly place: number;
  /** Tells it from others that had the place before. */
  readonly turn: number;
  readonly name: string;
  readonly model: string;
  readonly address: string;
  readonly balance: BalanceName;
}

/** To a worker. */
export type Order =
  | { readonly kind: "lent"; readonly replica: LentReplica }
  | { readonly kind: "taken back"; readonly place: number; readonly turn: number }
  | { readonly kind: "cache"; readonly place: number; readonly turn: number; readonly tokens: number }
  | { readonly kind: "granted"; readonly id: number; readonly grant: Grant }
  | { readonly kind: "refused"; readonly id: number; readonly error: SentError }
  | { readonly kind: "outlook"; readonly model: string; readonly outlook: Outlook }
  | { readonly kind: "gather"; readonly id: number }
  | { readonly kind: "drain" }
  | { readonly kind: "cut" }
  | { readonly kind: "close"; readonly graceMs: number };

/** From a worker. */
export type Report =
  | { readonly kind: "listening" }
  | { readonly kind: "cannot serve"; readonly error: SentError }
  | { readonly kind: "acquire"; readonly id: number; readonly model: string; readonly request: RequestTraits }
  | { readonly kind: "left"; readonly id: number }
  | { readonly kind: "first byte"; readonly id: number }
  | { readonly kind: "outcome"; readonly id: number; readonly outcome: SentOutcome }
  | { readonly kind: "released"; readonly id: number }
  | { readonly kind: "failed"; readonly place: number; readonly turn: number; readonly outcome: SentOutcome }
  | { readonly kind: "freed"; readonly place: number; readonly turn: number }
  | { readonly kind: "forgot"; readonly place: number; readonly turn: number }
  | { readonly kind: "samples"; readonly id: number; readonly samples: Samples }
  | { readonly kind: "log"; readonly lines: string }
  | { readonly kind: "closed" };

/** A lease that the main thread keeps for a worker, by the id of the request. */
export interface Grant {
  readonly replica: string;
  readonly address: string;
  readonly coldStart: boolean;
}

/** What is said to those who wait for a model. */
export interface Outlook {
  readonly words: string;
  readonly retryAfterMs: number;
}

export interface SentOutcome {
  readonly kind: LeaseOutcome["kind"];
  readonly error?: string;
}

export function sentOutcome({ kind, error }: LeaseOutcome): SentOutcome {
  return error === undefined ? { kind } : { kind, error: messageOf(error) };
}

export function outcomeOf({ kind, error }: SentOutcome): LeaseOutcome {
  return error === undefined ? { kind } : { kind, error: new Error(error) };
}

/** An error as it goes to another thread. */
export interface SentError {
  /** Absent: no error of ours. */
  readonly code?: ErrorCode;
  readonly message: string;
  readonly param?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly data?: Readonly<Record<string, unknown>>;
}

export function sentError(error: unknown): SentError {
  if (!(error instanceof AimError)) return { message: messageOf(error) };
  const { code, message, param, retryAfterMs, data } = error;
  return { code, message, param, retryAfterMs, data };
}

export function errorOf({ code, message, param, retryAfterMs, data }: SentError): Error {
  if (code === undefined) return new Error(message);
  return new AimError(code, message, {
    ...(param === undefined ? {} : { param }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(data === undefined ? {} : { data }),
  });
}
