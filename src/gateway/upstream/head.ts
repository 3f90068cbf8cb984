// The head of a backend's answer: strict, since whatever two parsers read differently lets one answer pose as two.

/** Beyond it an answer is refused; what engines send is below 1 KB. */
export const MAX_HEAD_BYTES = 32 * 1024;

export interface AnswerHead {
  readonly status: number;
  /** Names in lower case and values in turn, as they came. */
  readonly headers: readonly string[];
  readonly framing: Framing;
  /** Whether the connection may serve another request. */
  readonly keepsAlive: boolean;
}

/** How the end of a body is known. */
export type Framing =
  | { readonly kind: "length"; readonly bytes: number }
  | { readonly kind: "chunked" }
  /** When the backend closes the connection. */
  | { readonly kind: "close" };

/** The backend does not speak HTTP as it should; nothing it says after that is to be trusted. */
export class BadAnswer extends Error {
  override readonly name = "BadAnswer";
}

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// oxlint-disable-next-line no-control-regex -- control characters are what must not be there
const CONTROL = /[\0-\x08\x0a-\x1f\x7f]/;

/** Parses a head without the blank line that ends it. Throws `BadAnswer` for anything out of order. */
export function parseHead(text: string): AnswerHead {
  const lines = text.split("\r\n");
  const start = STATUS_LINE.exec(lines[0] ?? "");
  if (start === null) throw new BadAnswer("the status line is not HTTP/1.x");
  const headers: string[] = [];
  for (let at = 1; at < lines.length; at++) addHeader(headers, lines[at] ?? "");
  const isOld = start[1] === "0";
  const status = Number(start[2]);
  const framing = framingOf(headers, { status, isOld });
  const keepsAlive = !isOld && framing.kind !== "close" && !/\bclose\b/i.test(valueOf(headers, "connection") ?? "");
  return { status, headers, framing, keepsAlive };
}

/** The first value of a header by its name in lower case. */
export function valueOf(headers: readonly string[], name: string): string | undefined {
  for (let at = 0; at < headers.length; at += 2) if (headers[at] === name) return headers[at + 1];
  return undefined;
}

function addHeader(headers: string[], line: string): void {
  const colon = line.indexOf(":");
  const name = line.slice(0, colon);
  // A line that begins with a space would continue the one before, which nobody does any more but those who attack.
  if (colon < 1 || !TOKEN.test(name)) throw new BadAnswer("a header has no proper name");
  if (CONTROL.test(line)) throw new BadAnswer("a header holds a control character");
  headers.push(name.toLowerCase(), line.slice(colon + 1).trim());
}

/** RFC 9112 6.3, refusing whatever could be read in two ways. */
function framingOf(
  headers: readonly string[],
  { status, isOld }: { readonly status: number; readonly isOld: boolean },
): Framing {
  let length: string | undefined;
  let coding: string | undefined;
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at];
    if (name === "content-length") {
      if (length !== undefined) throw new BadAnswer("there is more than one content-length");
      length = headers[at + 1];
    } else if (name === "transfer-encoding") {
      if (coding !== undefined) throw new BadAnswer("there is more than one transfer-encoding");
      coding = headers[at + 1];
    }
  }
  if (coding !== undefined) return chunkedBy(coding, { isOld, length });
  if (length !== undefined && !/^\d{1,15}$/.test(length)) throw new BadAnswer("the content-length is no length");
  if (status < 200 || status === 204 || status === 304) return NOTHING;
  return length === undefined ? UNTIL_CLOSE : { kind: "length", bytes: Number(length) };
}

function chunkedBy(
  coding: string,
  { isOld, length }: { readonly isOld: boolean; readonly length: string | undefined },
): Framing {
  if (isOld) throw new BadAnswer("HTTP/1.0 knows no transfer-encoding");
  if (length !== undefined) throw new BadAnswer("there are both a content-length and a transfer-encoding");
  if (coding.toLowerCase() !== "chunked") throw new BadAnswer("the transfer-encoding is not chunked");
  return CHUNKED;
}

const NOTHING: Framing = { kind: "length", bytes: 0 };
const CHUNKED: Framing = { kind: "chunked" };
const UNTIL_CLOSE: Framing = { kind: "close" };
