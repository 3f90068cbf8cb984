// The head of a request for a model, as clients write it. Whatever is spelled in another way, or could be read in two, is left
// to Node's parser: here it is enough to know for certain what is plain.
import { addHeader } from "../header-line.ts";

export interface PlainHead {
  readonly target: string;
  /** Names in lower case and values in turn; none is there twice. */
  readonly headers: readonly string[];
  /** Bytes of the body. */
  readonly length: number;
  /** Whether the connection may carry another request. */
  readonly keepsAlive: boolean;
}

const METHOD = "POST ";
const VERSION = " HTTP/1.1";
const LENGTH = /^\d{1,15}$/;
/** They change what a connection or a body is, or ask for an answer before the answer. */
const NEVER_PLAIN = ["transfer-encoding", "expect", "upgrade"];

/** Reads a head without the blank line that ends it; undefined where it is not plain, or its target is none of these. */
export function readPlainHead(text: string, targets: ReadonlySet<string>): PlainHead | undefined {
  const lineEnd = text.indexOf("\r\n");
  if (!text.startsWith(METHOD) || !text.endsWith(VERSION, lineEnd)) return undefined;
  const target = text.slice(METHOD.length, lineEnd - VERSION.length);
  if (!targets.has(target)) return undefined;
  const headers: string[] = [];
  for (let at = lineEnd + 2; at < text.length;) {
    const next = text.indexOf("\r\n", at);
    const end = next === -1 ? text.length : next;
    if (addHeader(headers, text.slice(at, end)) !== undefined) return undefined;
    at = end + 2;
  }
  return withMeaning(target, headers);
}

function withMeaning(target: string, headers: readonly string[]): PlainHead | undefined {
  let length: number | undefined;
  let hasHost = false;
  let keepsAlive = true;
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = headers[at] ?? "";
    const value = headers[at + 1] ?? "";
    if (isRepeated(headers, at) || NEVER_PLAIN.includes(name)) return undefined;
    if (name === "host") hasHost = true;
    else if (name === "content-length") {
      if (!LENGTH.test(value)) return undefined;
      length = Number(value);
    } else if (name === "connection") {
      const said = value.toLowerCase();
      if (said !== "keep-alive" && said !== "close") return undefined;
      keepsAlive = said === "keep-alive";
    }
  }
  return hasHost && length !== undefined ? { target, headers, length, keepsAlive } : undefined;
}

function isRepeated(headers: readonly string[], at: number): boolean {
  for (let before = 0; before < at; before += 2) if (headers[before] === headers[at]) return true;
  return false;
}
