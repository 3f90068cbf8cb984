// What dockerode throws, turned into errors that say what was tried and what to do.
import { stat } from "node:fs/promises";
import { AimError, codeOf } from "../../errors.ts";
import { classifyFailure } from "../failure.ts";

/** The HTTP status Docker refused with, when it did. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof AimError && typeof error.data["status"] === "number" ? error.data["status"] : undefined;
}

/** What Docker refused with, in its own words, when it did. */
export function saidBy(error: unknown): string | undefined {
  return error instanceof AimError && typeof error.data["said"] === "string" ? error.data["said"] : undefined;
}

/** True when Docker took the request but its answer never came: what was asked for may have happened. */
export function isAnswerLost(error: unknown): boolean {
  return error instanceof AimError && error.data["answerLost"] === true;
}

/** Docker took too long over `task`. */
export function timedOut(task: string, limitMs: number): AimError {
  return new AimError(
    "runtime_unavailable",
    `Docker did not answer within ${limitMs / 1000} s when asked to ${task}; see whether dockerd is alive ("docker info")`,
    { data: { answerLost: true } },
  );
}

/** Docker answered with something that cannot be understood. */
export function notUnderstood(task: string, cause?: unknown): AimError {
  return new AimError("runtime_failed", `Docker's answer could not be understood when asked to ${task}`, {
    cause,
    data: { answerLost: true },
  });
}

/** The error to reject with when `task` failed with `error`. */
export async function explain(error: unknown, task: string, socketPath: string): Promise<AimError> {
  if (error instanceof AimError) return error;
  if (!(error instanceof Error)) return new AimError("runtime_failed", `cannot ${task}: ${String(error)}`);
  if ("statusCode" in error && typeof error.statusCode === "number") return refused(error, error.statusCode, task);
  const code = codeOf(error) ?? "";
  const unreachable = await whyUnreachable(code, socketPath);
  if (unreachable !== undefined)
    return new AimError("runtime_unavailable", `cannot reach Docker: ${unreachable}`, { cause: error });
  if (code === "ECONNRESET" || code === "EPIPE")
    return new AimError("runtime_unavailable", `Docker hung up when asked to ${task}`, {
      cause: error,
      data: { answerLost: true },
    });
  return new AimError("runtime_failed", `cannot ${task}`, { cause: error });
}

function refused(error: Error, status: number, task: string): AimError {
  const said = dockerMessage(error);
  const failure = classifyFailure([said], undefined);
  const known = failure.code === "crashed" ? "" : `; ${failure.advice}`;
  // Without the cause: its words are in the message, and would be told twice.
  return new AimError("runtime_failed", `Docker refused to ${task}: ${said}${known}`, {
    data: { status, said, ...(failure.code === "crashed" ? {} : { failure: failure.code }) },
  });
}

/** The daemon's own words, without the wrapping that dockerode puts around them. */
function dockerMessage(error: Error): string {
  return error.message.replace(/^\(HTTP code \d+\) [^-]*- /, "").trim();
}

async function whyUnreachable(code: string, socketPath: string): Promise<string | undefined> {
  switch (code) {
    case "ENOENT":
      return `there is no socket at ${socketPath}; start Docker, or mount its socket there`;
    case "ECONNREFUSED":
      return `nobody listens on ${socketPath}; start Docker ("systemctl start docker")`;
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "EHOSTUNREACH":
    case "ENETUNREACH":
    case "ETIMEDOUT":
      return `there is no way to ${socketPath} (${code}); correct docker.socket, or the network that leads there`;
    case "ENOTSOCK":
    case "EPROTOTYPE":
      return `${socketPath} is not a socket; set the path of Docker's socket`;
    case "EACCES":
    case "EPERM":
      return `no permission to open ${socketPath}; ${await permissionRemedy(socketPath)}`;
    default:
      return undefined;
  }
}

async function permissionRemedy(socketPath: string): Promise<string> {
  // The socket may lie in a directory that cannot be read either; then the group stays unknown.
  const group = await stat(socketPath).then(
    (found) => String(found.gid),
    () => undefined,
  );
  if (group === undefined) return "run as a user that may read its directory";
  return `it belongs to group ${group}: add that group to the user that runs this program ("--group-add ${group}" in a container)`;
}
