// What undici makes of the bytes of an answer: a parser that is none of ours.
import { once } from "node:events";
import { createServer } from "node:net";
import { Client } from "undici";
import { afterAll, beforeAll } from "vitest";

export interface Understood {
  readonly status: number;
  /** Names in lower case and values in turn, as they came. */
  readonly headers: readonly string[];
  readonly body: Buffer;
}

/** For all tests of a file: hands answers to undici; undefined where it refuses one. The connection ends behind the bytes. */
export function oracle(): (bytes: Buffer) => Promise<Understood | undefined> {
  let answer = Buffer.alloc(0);
  let origin = "";
  const server = createServer((socket) => {
    socket.on("error", () => {}); // the verdict tells it
    socket.once("data", () => socket.end(answer));
  });
  beforeAll(async () => {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    origin = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
  });
  afterAll(() => void server.close());
  return async (bytes) => {
    answer = Buffer.from(bytes);
    const client = new Client(origin, { maxHeaderSize: 64 * 1024 });
    try {
      return await askOver(client, { path: "/", body: "x" });
    } catch {
      return undefined;
    } finally {
      await client.destroy();
    }
  };
}

/** POSTs JSON; rejects where undici refuses the answer. */
export function askOver(
  client: Client,
  request: { readonly path: string; readonly body: string },
): Promise<Understood> {
  return new Promise((resolve, reject) => {
    let status = 0;
    let headers: readonly string[] = [];
    const parts: Buffer[] = [];
    client.dispatch(
      { method: "POST", headers: { "content-type": "application/json" }, ...request },
      {
        onRequestStart() {},
        onResponseStart(controller, statusCode) {
          status = statusCode;
          headers = lowerNames((controller.rawHeaders ?? []) as readonly (string | Buffer)[]);
        },
        onResponseData: (_, chunk) => void parts.push(Buffer.from(chunk)),
        onResponseEnd: () => resolve({ status, headers, body: Buffer.concat(parts) }),
        onResponseError: (_, error) => reject(error),
      },
    );
  });
}

function lowerNames(flat: readonly (string | Buffer)[]): string[] {
  const texts = flat.map((text) => (typeof text === "string" ? text : text.toString("latin1")));
  return texts.map((text, at) => (at % 2 === 0 ? text.toLowerCase() : text));
}
