// The head of a backend's answer: strict, since whatever two parsers read differently lets one answer pose as two.
import { addHeader } from "../header-line.ts";

/** Of a head and the interim heads before it: beyond it an answer is refused. What engines send is below 1 KB. */
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

const NO_HTTP = "it does not begin like HTTP/1.x";
const VERSION = "HTTP/1.";
const CR = 0x0d;
const LF = 0x0a;
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/;

/** Parses a head without the blank line that ends it. Throws `BadAnswer` for anything out of order. */
export function parseHead(text: string): AnswerHead {
  const lines = text.split("\r\n");
  const start = STATUS_LINE.exec(lines[0] ?? "");
  if (start === null) throw new BadAnswer(NO_HTTP);
  const headers: string[] = [];
  for (let at = 1; at < lines.length; at++) addHeaderLine(headers, lines[at] ?? "");
  const isOld = start[1] === "0";
  const status = Number(start[2]);
  if (isOld && status < 200) throw new BadAnswer("HTTP/1.0 knows no interim answers");
  const framing = framingOf(headers, { status, isOld });
  return { status, headers, framing, keepsAlive: !isOld && framing.kind !== "close" && !saysClose(headers) };
}

/** Throws `BadAnswer` where the beginning of a head shows already that it is none, be it that its end never comes. */
export function checkBeginning(bytes: Buffer): void {
  const begins = bytes.toString("latin1", 0, VERSION.length);
  const lineEnd = bytes.indexOf(LF);
  if (!VERSION.startsWith(begins) || (lineEnd >= 0 && bytes[lineEnd - 1] !== CR)) throw new BadAnswer(NO_HTTP);
}

/** Adds what a line says to names and values in turn. Throws `BadAnswer` where it is no header. */
export function addHeaderLine(headers: string[], line: string): void {
  const fault = addHeader(headers, line);
  if (fault !== undefined) throw new BadAnswer(fault);
}

function saysClose(headers: readonly string[]): boolean {
  for (let at = 0; at < headers.length; at += 2)
    if (headers[at] === "connection" && /\bclose\b/i.test(headers[at + 1] ?? "")) return true;
  return false;
}

/** RFC 9112 6.3, refusing whatever could be read in two ways. */
function framingOf(
  headers: readonly string[],
  { status, isOld }: { readonly status: number; readonly isOld: boolean },
): Framing {
  const length = onlyValueOf(headers, "content-length");
  const coding = onlyValueOf(headers, "transfer-encoding");
  if (length !== undefined && !/^\d{1,15}$/.test(length)) throw new BadAnswer("the content-length is no length");
  if (status < 200 || status === 204 || status === 304) {
    // Whoever does not know that such an answer has no body would wait for one.
    const isOdd = coding !== undefined || (status !== 304 && Number(length ?? 0) > 0);
    if (isOdd) throw new BadAnswer("an answer that has no body says how long it is");
    return NOTHING;
  }
  if (coding === undefined) return length === undefined ? UNTIL_CLOSE : { kind: "length", bytes: Number(length) };
  if (isOld) throw new BadAnswer("HTTP/1.0 knows no transfer-encoding");
  if (length !== undefined) throw new BadAnswer("there are both a content-length and a transfer-encoding");
  if (coding.toLowerCase() !== "chunked") throw new BadAnswer("the transfer-encoding is not chunked");
  return CHUNKED;
}

/** The value of a header that must not be there twice, be it with the same value. */
function onlyValueOf(headers: readonly string[], name: string): string | undefined {
  let value: string | undefined;
  for (let at = 0; at < headers.length; at += 2) {
    if (headers[at] !== name) continue;
    if (value !== undefined) throw new BadAnswer(`there is more than one ${name}`);
    value = headers[at + 1];
  }
  return value;
}

const NOTHING: Framing = { kind: "length", bytes: 0 };
const CHUNKED: Framing = { kind: "chunked" };
const UNTIL_CLOSE: Framing = { kind: "close" };
