// What is said to clients and the log when a backend fails: no addresses, no pieces of answers; the cause is for the log.
import { AimError } from "../errors.ts";
import { formatDuration } from "../lib/units.ts";

/** The backend's own error, read from the body of its answer, for clients that can only be told within a stream. */
export function backendError(status: number, body: Buffer): object {
  const said = parsed(body);
  const error = isObject(said) && isObject(said["error"]) ? said["error"] : said;
  if (!isObject(error) || typeof error["message"] !== "string") return bareError(status);
  const { message, type = null, param = null, code = status } = error;
  return { message, type, param, code };
}

function bareError(status: number): object {
  const message = `the backend answered with status ${status}`;
  return { message, type: "server_error", param: null, code: status };
}

/** The backend spoke, but not so that it can be passed on. */
export function badAnswer(what: string, cause?: Error): AimError {
  return new AimError("bad_gateway", `the backend ${what}`, { cause });
}

/** The answer had begun, and then the connection ended. */
export function brokenOff(cause: Error): AimError {
  return new AimError("upstream_error", "the backend broke off in the middle of its answer", { cause });
}

/** No byte for too long. */
export function silent(limitMs: number): AimError {
  return new AimError("upstream_timeout", `the backend sent nothing for ${formatDuration(limitMs)}`);
}

/** It went on and on. */
export function tooLong(limitMs: number): AimError {
  return new AimError("upstream_timeout", `the answer took longer than ${formatDuration(limitMs)}`);
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    // An HTML page, or cut short: then the status is all there is to tell.
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
