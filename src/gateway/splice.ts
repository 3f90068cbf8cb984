// Changes to a body that touch nothing but their own bytes: writing the JSON anew could alter numbers and the order of keys.
import type { Span } from "./scan.ts";

/** One range of the body, and what stands there instead. */
export interface Edit {
  readonly span: Span;
  readonly text: string;
}

/** The body with all edits made, which must not overlap; the same buffer where there are none. */
export function spliced(body: Buffer, edits: readonly Edit[]): Buffer {
  if (edits.length === 0) return body;
  const parts: Buffer[] = [];
  let at = 0;
  for (const { span, text } of edits.toSorted((a, b) => a.span.start - b.span.start)) {
    parts.push(body.subarray(at, span.start), Buffer.from(text));
    at = span.end;
  }
  return Buffer.concat([...parts, body.subarray(at)]);
}
