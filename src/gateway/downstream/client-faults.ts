// What goes wrong on the client's side of a request.
import { AimError } from "../../errors.ts";
import { formatDuration } from "../../lib/units.ts";

export function tooLarge(maxBytes: number): AimError {
  return new AimError("request_too_large", `the request body is larger than the ${maxBytes} bytes this gateway takes`);
}

/** The client left; not a failure of anyone's. */
export function clientGone(): AimError {
  return new AimError("client_closed_request", "the client closed the connection");
}

/** It is still there, but has read nothing for so long that its answer is given up. */
export function clientStuck(limitMs: number): AimError {
  return new AimError("client_closed_request", `the client read nothing for ${formatDuration(limitMs)}`);
}
