// The client's side of an admin request: what comes of work whose client leaves, and bodies that stream.
import type { Context } from "hono";
import { AimError } from "../errors.ts";

/** What fails because the client left is no fault of ours, and nobody reads the answer. */
export async function whileConnected<T>(c: Context, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!c.req.raw.signal.aborted) throw error;
    throw new AimError("client_closed_request", "the client left before the answer", { cause: error });
  }
}

/** Aborts when the client leaves, or when `stopping` ends what has no end of its own. */
export function signalOf(c: Context, stopping: AbortSignal | undefined): AbortSignal {
  return stopping === undefined ? c.req.raw.signal : AbortSignal.any([c.req.raw.signal, stopping]);
}

/** An answer whose body comes bit by bit. */
export async function streamed(c: Context, body: ReadableStream<Uint8Array>, contentType: string): Promise<Response> {
  const headers = { "Content-Type": contentType, "X-Accel-Buffering": "no" };
  if (c.req.method !== "HEAD") return c.body(body, 200, headers);
  // The answer to HEAD has no body: nobody would read this one, or ever cancel it.
  await body.cancel();
  return c.body(null, 200, headers);
}
