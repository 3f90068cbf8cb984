// Reads the body of a request that Node parses: once, whole and bounded.
import type { IncomingMessage } from "node:http";
import { clientGone, tooLarge } from "./client-faults.ts";

const FIRST_CHUNKED_BYTES = 16 * 1024;

/** Rejects with `request_too_large` as early as the size is known, and with `client_closed_request` when the client leaves. */
export function readBody(incoming: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const length = incoming.headers["content-length"];
  const announced = length === undefined ? undefined : Number(length);
  if (announced !== undefined && announced > maxBytes) return Promise.reject(tooLarge(maxBytes));
  return collect(incoming, { maxBytes, capacity: announced ?? Math.min(FIRST_CHUNKED_BYTES, maxBytes) });
}

/** Copies each chunk to its place as it comes, but for one that is the whole body; grows only where no length was announced. */
function collect(
  incoming: IncomingMessage,
  { maxBytes, capacity }: { readonly maxBytes: number; readonly capacity: number },
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let body: Buffer | undefined;
    let used = 0;
    const onData = (chunk: Buffer) => {
      const needed = used + chunk.length;
      if (needed > maxBytes) {
        incoming.off("data", onData);
        return reject(tooLarge(maxBytes));
      }
      // The usual case: Node gives each chunk memory of its own.
      if (used === 0 && needed >= capacity) body = chunk;
      else {
        body ??= Buffer.allocUnsafe(capacity);
        if (needed > body.length) body = grown(body, { used, capacity: Math.max(needed, body.length * 2) });
        body.set(chunk, used);
      }
      used = needed;
    };
    let isWhole = false;
    const onEnd = () => {
      isWhole = true;
      resolve(body?.subarray(0, used) ?? Buffer.alloc(0));
    };
    const onGone = () => {
      if (!isWhole) reject(clientGone());
    };
    // None is taken off again, which would cost more than it saves; and without one for errors they would end the process.
    incoming.on("data", onData).on("end", onEnd).on("error", onGone).on("close", onGone);
  });
}

function grown(body: Buffer, to: { readonly used: number; readonly capacity: number }): Buffer<ArrayBuffer> {
  const larger = Buffer.allocUnsafe(to.capacity);
  larger.set(body.subarray(0, to.used));
  return larger;
}
