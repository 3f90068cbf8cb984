// The one renderer of errors: every failure the gateway reports to an API client takes its shape here.
import { AimError, type ErrorCode, isAimError } from "../errors.ts";

export interface RenderedError {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Errors of the operator's files and machine: their messages name paths and addresses. */
const OPERATOR_CODES: readonly ErrorCode[] = ["invalid_config", "invalid_recipe", "runtime_failed"];

/** Asking again sooner is a burden, and Retry-After counts in whole seconds. */
const SOONEST_RETRY_MS = 1_000;

/** What an API client may be told of whatever was thrown; the original stays as the cause, for the log. */
export function forApiClients(error: unknown): AimError {
  if (!isAimError(error) || OPERATOR_CODES.includes(error.code)) return internalError(error);
  if (error.code !== "runtime_unavailable") return error;
  return new AimError("runtime_unavailable", "the machines that run this model cannot be used at the moment", {
    ...(error.retryAfterMs !== undefined && { retryAfterMs: error.retryAfterMs }),
    cause: error,
  });
}

/** The catch-all: says nothing, keeps the cause. */
export function internalError(cause: unknown): AimError {
  return new AimError("internal_error", "the gateway failed to handle the request; its log has the cause", {
    cause,
  });
}

/** Said to those who ask while the gateway goes down, and to those whom it cannot let finish. */
export function shuttingDown(): AimError {
  return new AimError("shutting_down", "the gateway is shutting down; try again in a moment", { retryAfterMs: 2_000 });
}

/** Status, headers and body of an answer that is an error from its first byte. */
export function renderError(error: AimError): RenderedError {
  return {
    status: error.status,
    headers: {
      "content-type": "application/json",
      "x-aim-source": "gateway",
      "x-should-retry": String(error.retryable),
      ...retryAfter(error),
      ...(error.status === 401 && { "www-authenticate": "Bearer" }),
      ...(error.code === "shutting_down" && { connection: "close" }),
      ...allow(error),
    },
    body: JSON.stringify({ error: errorObject(error) }),
  };
}

/** The same failure once a stream is open: one event, which SDKs throw on. Nothing may follow, least of all [DONE]. */
export function renderErrorEvent(error: object): string {
  // The blank line first ends whatever event was cut off half-way.
  return `\n\ndata: ${JSON.stringify({ error })}\n\n`;
}

/** OpenAI's error object. `data`, `cause` and the stack stay here. */
export function errorObject(error: AimError): object {
  return { message: error.message, type: error.type, param: error.param ?? null, code: error.code };
}

function retryAfter(error: AimError): Record<string, string> {
  // Whoever is told not to retry must not be told when.
  if (error.retryAfterMs === undefined || !error.retryable) return {};
  const ms = Math.max(SOONEST_RETRY_MS, Math.ceil(error.retryAfterMs));
  return { "retry-after": String(Math.ceil(ms / 1000)), "retry-after-ms": String(ms) };
}

function allow(error: AimError): Record<string, string> {
  const allowed = error.data["allow"];
  return typeof allowed === "string" ? { allow: allowed } : {};
}
