// Which headers pass in each direction. Nothing that belongs to one connection, and no secret, crosses the gateway.
import { AimError } from "../errors.ts";
import { memoized } from "../lib/memo.ts";
import { NAMES } from "./header-line.ts";

/** RFC 9110 7.6.1: they speak of one connection only. */
const HOP_BY_HOP = [
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

const NOT_TO_BACKEND = new Set([
  ...HOP_BY_HOP,
  // The client's secrets: the gateway has checked them, and a backend has no use for them.
  "authorization",
  "x-api-key",
  "api-key",
  "cookie",
  // Set anew: admission checked what they say, and gateway and backend must not read a repeated one differently.
  "host",
  "content-type",
  "content-length",
  "expect",
  "x-request-id",
  // Claims about the client that nobody has checked, as is x-forwarded-*. (And x-aim-* is said to the gateway alone.)
  "forwarded",
  "x-real-ip",
]);

const NOT_TO_CLIENT = new Set([...HOP_BY_HOP, "server", "date", "set-cookie", "x-request-id", "__proto__"]);

// To look at a name is dear.
const passesToBackend = memoized(NAMES, (name) => !NOT_TO_BACKEND.has(name) && !/^x-(forwarded|aim)-/.test(name));
const passesToClient = memoized(NAMES, (name) => !NOT_TO_CLIENT.has(name) && !isOurs(name));

/** Engines take less than we do, and cut the connection at more: that must not look like their failure. */
const MAX_FORWARDED = { headers: 64, bytes: 8 * 1024 };

/**
 * The client's headers for the backend, as a flat list of names and values. A stream is asked for in plain text: it may have
 * begun before the backend answers, and its errors are told in plain text.
 */
export function requestHeaders(
  rawHeaders: readonly string[],
  { connection, stream }: { readonly connection: string | undefined; readonly stream: boolean },
): string[] {
  const named = namedIn(connection);
  const headers = stream ? ["accept-encoding", "identity"] : [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]?.toLowerCase() ?? "";
    if (!passesToBackend(name) || named.has(name)) continue;
    if (stream && name === "accept-encoding") continue;
    headers.push(name, rawHeaders[at + 1] ?? "");
  }
  const bytes = headers.reduce((total, text) => total + text.length, 0);
  if (bytes <= MAX_FORWARDED.bytes && headers.length <= 2 * MAX_FORWARDED.headers) return headers;
  const limits = `${MAX_FORWARDED.headers} headers of ${MAX_FORWARDED.bytes} bytes together`;
  throw new AimError("invalid_value", `the request has more headers to pass on to the model than ${limits}`);
}

/** The backend's headers for the client; both as names in lower case and values in turn. */
export function responseHeaders(headers: readonly string[]): string[] {
  let named = NONE;
  for (let at = 0; at + 1 < headers.length; at += 2)
    if (headers[at] === "connection") named = new Set([...named, ...namedIn(headers[at + 1])]);
  const passed: string[] = [];
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = headers[at] ?? "";
    if (!passesToClient(name) || named.has(name)) continue;
    passed.push(name, headers[at + 1] ?? "");
  }
  return passed;
}

/** Names the gateway gives itself, names a backend keeps to itself, and who may read answers in a browser. */
function isOurs(name: string): boolean {
  return name.startsWith("x-aim-") || name.startsWith("access-control-") || /^x-(.*-)?internal(-|$)/.test(name);
}

/** The headers that a Connection header declares to be hop-by-hop. */
function namedIn(connection: string | undefined): ReadonlySet<string> {
  if (connection === undefined || /^(keep-alive|close)$/i.test(connection)) return NONE;
  return new Set(connection.split(",").map((name) => name.trim().toLowerCase()));
}

const NONE: ReadonlySet<string> = new Set();
