// Every failure the gateway itself can report: one code, one HTTP status, one OpenAI error type. Match on `code`.

interface ErrorKind {
  readonly status: number;
  /** The `type` of OpenAI's error object. */
  readonly type: string;
  /** Whether the same request can succeed later; sent to SDKs as `x-should-retry`. */
  readonly retryable: boolean;
}

function kind(status: number, type: string, retryable: "retryable" | "final"): ErrorKind {
  return { status, type, retryable: retryable === "retryable" };
}

/** The catalogue: what can go wrong, by code. `docs/reference/errors.md` is generated from it. */
export const ERROR_KINDS = {
  invalid_json: kind(400, "invalid_request_error", "final"),
  invalid_value: kind(400, "invalid_request_error", "final"),
  duplicate_key: kind(400, "invalid_request_error", "final"),
  invalid_api_key: kind(401, "invalid_request_error", "final"),
  forbidden_host: kind(403, "permission_error", "final"),
  model_not_found: kind(404, "invalid_request_error", "final"),
  replica_not_found: kind(404, "invalid_request_error", "final"),
  unknown_url: kind(404, "invalid_request_error", "final"),
  method_not_supported: kind(405, "invalid_request_error", "final"),
  conflict: kind(409, "invalid_request_error", "final"),
  request_too_large: kind(413, "invalid_request_error", "final"),
  unsupported_encoding: kind(415, "invalid_request_error", "final"),
  unsupported_media_type: kind(415, "invalid_request_error", "final"),
  queue_full: kind(429, "rate_limit_error", "retryable"),
  client_closed_request: kind(499, "invalid_request_error", "final"),
  internal_error: kind(500, "server_error", "final"),
  bad_gateway: kind(502, "server_error", "retryable"),
  /** A backend's answer that broke off; only ever sent as an event within a stream. */
  upstream_error: kind(502, "server_error", "retryable"),
  model_unavailable: kind(503, "service_unavailable_error", "final"),
  model_loading: kind(503, "service_unavailable_error", "retryable"),
  model_start_failed: kind(503, "service_unavailable_error", "final"),
  no_capacity: kind(503, "service_unavailable_error", "retryable"),
  replica_stopped: kind(503, "service_unavailable_error", "retryable"),
  shutting_down: kind(503, "service_unavailable_error", "retryable"),
  model_start_timeout: kind(504, "server_error", "final"),
  upstream_timeout: kind(504, "server_error", "final"),
  // The next ones never reach an API client: they are errors of the operator's files and machine.
  invalid_config: kind(500, "server_error", "final"),
  invalid_recipe: kind(500, "server_error", "final"),
  runtime_unavailable: kind(503, "service_unavailable_error", "retryable"),
  runtime_failed: kind(500, "server_error", "final"),
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERROR_KINDS;

export interface ErrorDetails {
  /** The request field at fault, as in OpenAI's `param`. */
  readonly param?: string;
  /** When it is worth asking again; rendered as `Retry-After`. */
  readonly retryAfterMs?: number;
  /** Facts for operators and tests; never sent to API clients. */
  readonly data?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** A failure with a code of the catalogue. The message is for people: what failed, on what, what to do. */
export class AimError extends Error {
  readonly code: ErrorCode;
  readonly param: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly data: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "AimError";
    this.code = code;
    this.param = details.param;
    this.retryAfterMs = details.retryAfterMs;
    this.data = details.data ?? {};
  }

  get status(): number {
    return ERROR_KINDS[this.code].status;
  }

  get type(): string {
    return ERROR_KINDS[this.code].type;
  }

  get retryable(): boolean {
    return ERROR_KINDS[this.code].retryable;
  }
}

export function isAimError(error: unknown, ...codes: readonly ErrorCode[]): error is AimError {
  return error instanceof AimError && (codes.length === 0 || codes.includes(error.code));
}

/** The message of whatever was thrown, with the messages of its causes. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error.message === "" ? error.name : error.message;
  return error.cause instanceof Error ? `${own}: ${messageOf(error.cause)}` : own;
}
