// Every failure the gateway itself can report: one code, one HTTP status, one OpenAI error type. Match on `code`.

interface ErrorKind {
  readonly status: number;
  /** The `type` of OpenAI's error object. */
  readonly type: string;
  /** Whether the same request can succeed later; sent to SDKs as `x-should-retry`. */
  readonly retryable: boolean;
  /** What happened and what to do, for the reference page. */
  readonly meaning: string;
}

function kind(status: number, type: string, retryable: "retryable" | "final", meaning: string): ErrorKind {
  return { status, type, retryable: retryable === "retryable", meaning };
}

/** The catalogue: what can go wrong, by code. `docs/reference/errors.md` is generated from it. */
export const ERROR_KINDS = {
  invalid_json: kind(
    400,
    "invalid_request_error",
    "final",
    "The body is no JSON object in UTF-8, or is nested too deeply.",
  ),
  invalid_value: kind(400, "invalid_request_error", "final", "A field has a value that cannot be; `param` names it."),
  duplicate_key: kind(
    400,
    "invalid_request_error",
    "final",
    "`model`, `stream` or `keep_alive` stands in the body twice.",
  ),
  invalid_api_key: kind(
    401,
    "invalid_request_error",
    "final",
    "No key, or none that is known; send `Authorization: Bearer KEY`.",
  ),
  forbidden_host: kind(
    403,
    "permission_error",
    "final",
    "The request is addressed to another host than this gateway, or comes from another web page.",
  ),
  not_permitted: kind(
    403,
    "permission_error",
    "final",
    "The API key may neither start models nor change what runs (`mayStart`); ask whoever runs the gateway.",
  ),
  model_not_found: kind(
    404,
    "invalid_request_error",
    "final",
    "No recipe serves this name; `GET /v1/models` lists what there is.",
  ),
  replica_not_found: kind(
    404,
    "invalid_request_error",
    "final",
    "No replica or model of this name; `aim-engine ps` lists what runs.",
  ),
  unknown_url: kind(404, "invalid_request_error", "final", "Nothing is served at this path."),
  method_not_supported: kind(405, "invalid_request_error", "final", "The path takes another method; `Allow` names it."),
  conflict: kind(
    409,
    "invalid_request_error",
    "final",
    "What is asked for contradicts what runs; the message says what to stop first.",
  ),
  request_too_large: kind(413, "invalid_request_error", "final", "The body is larger than `maxBody`."),
  unsupported_encoding: kind(415, "invalid_request_error", "final", "The body is compressed; send it plain."),
  unsupported_media_type: kind(415, "invalid_request_error", "final", "The body is not `application/json`."),
  queue_full: kind(
    429,
    "rate_limit_error",
    "retryable",
    "Too many requests wait for the model; ask again after `Retry-After`.",
  ),
  client_closed_request: kind(499, "invalid_request_error", "final", "The client left; only in logs and metrics."),
  internal_error: kind(
    500,
    "server_error",
    "final",
    "A fault of the gateway; its log has the cause under the `x-request-id`.",
  ),
  bad_gateway: kind(502, "server_error", "retryable", "The backend could not be reached, or gave no proper answer."),
  upstream_error: kind(
    502,
    "server_error",
    "retryable",
    "A backend's answer broke off; only ever sent as an event within a stream.",
  ),
  model_unavailable: kind(
    503,
    "service_unavailable_error",
    "final",
    "No recipe of the model can run on this machine; `aim-engine models` says why.",
  ),
  model_asleep: kind(
    503,
    "service_unavailable_error",
    "final",
    "The model does not run, and the API key may not start it (`mayStart`); ask again when it runs.",
  ),
  model_loading: kind(
    503,
    "service_unavailable_error",
    "retryable",
    "The model was not ready within `maxHold`; ask again after `Retry-After`.",
  ),
  model_start_failed: kind(
    503,
    "service_unavailable_error",
    "final",
    "The engine could not be started; `aim-engine logs MODEL` shows what it said.",
  ),
  no_capacity: kind(503, "service_unavailable_error", "retryable", "All suitable GPUs are in use and stay so."),
  replica_stopped: kind(
    503,
    "service_unavailable_error",
    "retryable",
    "The replica was stopped while the request needed it.",
  ),
  shutting_down: kind(
    503,
    "service_unavailable_error",
    "retryable",
    "The gateway is going down; ask again in a moment.",
  ),
  model_start_timeout: kind(
    504,
    "server_error",
    "final",
    "The model was not ready within `startTimeout`, or its load stood still; the message says where.",
  ),
  upstream_timeout: kind(504, "server_error", "final", "The backend was silent for longer than `timeouts` allows."),
  // The next ones never reach an API client: they are errors of the operator's files and machine.
  invalid_config: kind(
    500,
    "server_error",
    "final",
    "config.yaml or an option cannot be used; the message has file, line and remedy.",
  ),
  invalid_recipe: kind(500, "server_error", "final", "A recipe cannot be used; the message has file, line and remedy."),
  runtime_unavailable: kind(
    503,
    "service_unavailable_error",
    "retryable",
    "The runtime (Docker, say) cannot be reached at the moment.",
  ),
  runtime_failed: kind(500, "server_error", "final", "The runtime refused; the message says what and what to do."),
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

/** The code that Node, the system or undici gave an error ("ENOENT", "UND_ERR_SOCKET"); undefined when it has none. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
