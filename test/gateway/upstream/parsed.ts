// What our parser makes of the bytes of an answer, without a connection; to be held against `oracle`.
import { type BodySink, readerOf } from "../../../src/gateway/upstream/body.ts";
import { BadAnswer, parseHead } from "../../../src/gateway/upstream/head.ts";
import type { Understood } from "./oracle.ts";

/** Gathers a body: as content, and as chunks that were passed on or put around content anew. */
export class Gatherer implements BodySink {
  readonly takesFrames: boolean;
  readonly contents: Buffer[] = [];
  /** As they were handed over in one call of `onFrames`, each with the bytes of content said to be in it. */
  readonly frames: { readonly bytes: Buffer; readonly contentBytes: number }[] = [];
  readonly reframed: Buffer[] = [];

  constructor({ takesFrames }: { readonly takesFrames: boolean }) {
    this.takesFrames = takesFrames;
  }

  onFrames(bytes: Buffer, contentBytes: number): void {
    this.frames.push({ bytes: Buffer.from(bytes), contentBytes });
    this.reframed.push(Buffer.from(bytes));
  }

  onContent(bytes: Buffer): void {
    this.contents.push(Buffer.from(bytes));
    this.reframed.push(Buffer.from(`${bytes.length.toString(16)}\r\n`), Buffer.from(bytes), Buffer.from("\r\n"));
  }
}

/** Undefined where we refuse the answer, it is not whole at the end of the bytes, or goes on after its end. */
export function parsed(bytes: Buffer): Understood | undefined {
  try {
    return understand(bytes);
  } catch (error) {
    if (error instanceof BadAnswer) return undefined;
    throw error;
  }
}

function understand(bytes: Buffer): Understood | undefined {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const { status, headers, framing } = parseHead(bytes.toString("latin1", 0, end));
  const body = bytes.subarray(end + 4);
  if (status < 200) return parsed(body);
  const gatherer = new Gatherer({ takesFrames: false });
  const reader = readerOf(framing);
  const isExact = reader.read(body, 0, gatherer) === body.length;
  if (!isExact || !(reader.isComplete || reader.endsWithConnection)) return undefined;
  return { status, headers, body: Buffer.concat(gatherer.contents) };
}

/** A variant of bytes: one put in, taken out or changed at each place. */
export function mutated(bytes: Buffer, mutations: readonly Mutation[]): Buffer {
  let result = bytes;
  for (const { at, kind, byte } of mutations) {
    const place = at % (result.length + 1);
    const after = kind === "insert" ? place : place + 1;
    const put = kind === "delete" ? [] : [byte];
    result = Buffer.concat([result.subarray(0, place), Buffer.from(put), result.subarray(after)]);
  }
  return result;
}

export interface Mutation {
  readonly at: number;
  readonly kind: "insert" | "delete" | "replace";
  readonly byte: number;
}
