// Which Host a request may name. A web page can make its own name point at 127.0.0.1 (DNS rebinding) and then talk to what
// listens there as if it were its own server; only the Host header gives it away.
import { AimError } from "../errors.ts";

/** The names that mean a gateway listening on this loopback address; one that others can reach has no such list. */
export function loopbackHosts(bindHost: string): readonly string[] {
  const bound = bindHost.includes(":") && !bindHost.startsWith("[") ? `[${bindHost}]` : bindHost;
  return [...new Set(["localhost", "127.0.0.1", "[::1]", bound.toLowerCase()])];
}

/** Throws unless the request names exactly one host, an allowed one. */
export function checkHost(rawHeaders: readonly string[], allowed: readonly string[] | undefined): void {
  let host: string | undefined;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? "";
    if (name.length !== 4 || name.toLowerCase() !== "host") continue;
    if (host !== undefined) throw new AimError("invalid_value", "the request has more than one Host header");
    host = rawHeaders[at + 1] ?? "";
  }
  if (allowed === undefined) return;
  const name = (host ?? "").toLowerCase().replace(/:\d*$/, "");
  if (allowed.includes(name)) return;
  throw new AimError(
    "forbidden_host",
    `this gateway answers to ${allowed.join(", ")} only; to be reached by another name it must listen on another address`,
  );
}
