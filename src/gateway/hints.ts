// What a request says of how it is to be treated: how soon, how long it would wait, and how long its replica is to stay.
// Said in headers of ours and in Ollama's `keep_alive`; none of it reaches a backend.
import { AimError } from "../errors.ts";
import { parseDuration } from "../lib/units.ts";
import type { Downstream } from "./downstream/downstream.ts";
import type { Client } from "./keys.ts";
import { PRIORITIES, type Priority, type RequestHints } from "./pool.ts";

/** What is known before there is anything to acquire. */
export type Hints = Omit<RequestHints, "requestId" | "bodyBytes">;

type Headers = Pick<Downstream, "header">;

const PRIORITY = "x-aim-priority";
const KEEP_ALIVE = "x-aim-keep-alive";
const MAX_WAIT = "x-aim-max-wait";
const SESSION = "x-session-id";

/** Sessions are remembered by it. */
const MAX_SESSION_LENGTH = 128;

/** The header for the keep-alive wins over `keepAliveMs`, which the body asked for. */
export function readHints(
  headers: Headers,
  { client, keepAliveMs }: { readonly client: Client | undefined; readonly keepAliveMs: number | undefined },
): Hints {
  return {
    client: client?.name,
    weight: client?.weight,
    mayStart: client?.mayStart,
    priority: readPriority(headers, client),
    keepAliveMs: readKeepAlive(headers.header(KEEP_ALIVE), KEEP_ALIVE) ?? keepAliveMs,
    session: headers.header(SESSION)?.slice(0, MAX_SESSION_LENGTH) || undefined,
  };
}

/** Milliseconds for which it would wait for a replica; Infinity: for as long as it may. */
export function readMaxWait(headers: Headers): number {
  const text = headers.header(MAX_WAIT);
  if (text === undefined) return Infinity;
  const ms = parseTime(text);
  if (ms !== undefined) return ms;
  throw invalid(MAX_WAIT, 'must be a duration such as "30s" or "2m", a number of seconds, or 0 for not at all');
}

/** As Ollama takes it, in ms; undefined where nothing is asked for. `field` is where it stands, for the message. */
export function readKeepAlive(value: unknown, field: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  const ms = typeof value === "number" || typeof value === "string" ? parseKeepAlive(String(value)) : undefined;
  if (ms !== undefined) return ms;
  throw invalid(field, 'must be a duration such as "5m" or "1h30m", a number of seconds, 0 or "forever"');
}

/** Any time below zero means for ever. */
function parseKeepAlive(text: string): number | undefined {
  if (!/^-[\d.]/.test(text)) return parseTime(text);
  const ms = parseTime(text.slice(1));
  return ms === undefined || ms === 0 ? ms : Infinity;
}

/** A bare number is seconds, as in Retry-After and with Ollama; numbers of JSON may be written like 1e-7. */
function parseTime(text: string): number | undefined {
  return /^\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text) ? Number(text) * 1000 : parseDuration(text);
}

function readPriority(headers: Headers, client: Client | undefined): Priority | undefined {
  const text = headers.header(PRIORITY);
  if (text === undefined) return client?.priority;
  const asked = PRIORITIES.find((priority) => priority === text);
  if (asked === undefined) throw invalid(PRIORITY, `must be ${PRIORITIES.join(", ")}`);
  if (client === undefined || PRIORITIES.indexOf(asked) >= PRIORITIES.indexOf(client.priority)) return asked;
  throw invalid(
    PRIORITY,
    `may not be "${asked}" with this API key, whose requests are of "${client.priority}" at most`,
  );
}

function invalid(field: string, problem: string): AimError {
  return new AimError("invalid_value", `"${field}" ${problem}`, { param: field });
}
