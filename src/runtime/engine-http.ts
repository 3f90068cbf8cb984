// Questions to engines over HTTP: one at a time, each bounded in time and in what is read of its answer.
import { Agent } from "undici";
import { AimError, type ErrorCode } from "../errors.ts";
import { deadline, type Clock } from "../lib/clock.ts";
import { orAborted } from "../lib/or-aborted.ts";

export interface EngineQuestion {
  readonly address: URL;
  readonly path: string;
  /** Asked by POST, with this as JSON; by GET when absent. */
  readonly post?: Readonly<Record<string, unknown>>;
  readonly timeoutMs: number;
  /** Code of the error when it takes longer. */
  readonly late: ErrorCode;
  /** A body beyond it is cut: what follows is of no use to who asks. */
  readonly maxBytes: number;
  readonly signal: AbortSignal;
}

export interface EngineAnswer {
  readonly status: number;
  readonly body: string;
}

export interface EngineHttp {
  /** Rejects as the network does, with the signal's reason, or with the code for being late. */
  ask(question: EngineQuestion): Promise<EngineAnswer>;
  close(): Promise<void>;
}

/** With connections of its own: each question gets a fresh one, so that a stuck socket cannot hide a healthy server. */
export function createEngineHttp(clock: Clock): EngineHttp {
  const agent = new Agent({ pipelining: 0, headersTimeout: 0, bodyTimeout: 0 });
  return { ask: (question) => askOne(agent, clock, question), close: () => agent.destroy() };
}

async function askOne(agent: Agent, clock: Clock, question: EngineQuestion): Promise<EngineAnswer> {
  const { address, path, post, timeoutMs, late, maxBytes, signal } = question;
  const tooLate = () => new AimError(late, `${path} did not answer within ${timeoutMs / 1000} s`);
  const limit = deadline(clock, timeoutMs, tooLate, signal);
  try {
    const request = agent.request({
      origin: address.origin,
      path,
      method: post === undefined ? "GET" : "POST",
      headers: post === undefined ? {} : { "content-type": "application/json" },
      body: post === undefined ? null : JSON.stringify(post),
      signal: limit.signal,
    });
    // By itself undici takes note of the signal only when it is connected, which may take it ten seconds.
    const { statusCode, body } = await orAborted(request, limit.signal);
    return { status: statusCode, body: await readBounded(body, maxBytes) };
  } catch (error) {
    // Being late or not wanted any more is the cause, whatever words the network finds for it.
    limit.signal.throwIfAborted();
    throw error;
  } finally {
    limit.done();
  }
}

async function readBounded(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    size += chunk.length;
    if (size >= maxBytes) break;
  }
  return Buffer.concat(chunks).toString();
}
