// A backend of which the test holds every socket: it hears whole requests, and says bytes.
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import { until } from "../../support/until.ts";

export interface Backend {
  /** The same object each time. */
  readonly address: URL;
  /** In the order in which they were accepted; closed ones stay. */
  readonly sockets: readonly Socket[];
  /** Whole requests, as text. */
  readonly requests: readonly string[];
  /** Resolves when the connection of this number, 0 for the first, is gone. */
  closed(this: void, number?: number): Promise<void>;
}

export interface BackendOptions {
  readonly host?: string;
  /** Called with the first bytes of each connection. */
  readonly onBytes?: (socket: Socket) => void;
}

/** Ends with the test. It leaves its half of a connection open until it closes it itself. */
export async function startBackend(
  answer: (socket: Socket, request: string) => void,
  { host = "127.0.0.1", onBytes }: BackendOptions = {},
): Promise<Backend> {
  const sockets: Socket[] = [];
  const requests: string[] = [];
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    let heard = "";
    sockets.push(socket);
    socket.on("error", () => {}); // resets are part of the game
    socket.once("end", () => socket.destroy());
    if (onBytes !== undefined) socket.once("data", () => onBytes(socket));
    socket.on("data", (bytes: Buffer) => {
      heard += bytes.toString("latin1");
      for (let end = endOf(heard); end !== undefined; end = endOf(heard)) {
        const request = heard.slice(0, end);
        heard = heard.slice(end);
        requests.push(request);
        answer(socket, request);
      }
    });
  });
  server.listen(0, host);
  await once(server, "listening");
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const bound = server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : 0;
  return {
    address: new URL(`http://${host.includes(":") ? `[${host}]` : host}:${port}`),
    sockets,
    requests,
    async closed(number = 0) {
      await until(() => sockets[number]?.destroyed, { what: `the end of connection ${number}` });
    },
  };
}

function endOf(heard: string): number | undefined {
  const head = heard.indexOf("\r\n\r\n");
  if (head < 0) return undefined;
  const end = head + 4 + Number(/\r\ncontent-length: *(\d+)/i.exec(heard.slice(0, head))?.[1] ?? 0);
  return heard.length < end ? undefined : end;
}
