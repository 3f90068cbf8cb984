// A backend that says bytes: what it answers is no HTTP of Node's, but exactly what the test writes, when it writes it.
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";

export interface RawBackend {
  readonly address: URL;
  /** Whole requests that came so far, as text. */
  readonly requests: readonly string[];
  /** Connections accepted so far. */
  readonly connections: number;
}

/** Called with each whole request; the socket is its own affair from then on, and stays open unless it ends it. */
export type RawAnswer = (socket: Socket, request: string) => void | Promise<void>;

/** Ends with the test. */
export async function startRawBackend(answer: RawAnswer): Promise<RawBackend> {
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    let heard = "";
    socket.setNoDelay(true);
    socket.on("error", () => {}); // resets are part of the game
    socket.on("close", () => sockets.delete(socket));
    socket.on("data", (bytes: Buffer) => {
      heard += bytes.toString("latin1");
      const end = endOf(heard);
      if (end === undefined) return;
      requests.push(heard.slice(0, end));
      const request = heard.slice(0, end);
      heard = heard.slice(end);
      void answer(socket, request);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    address: new URL(`http://127.0.0.1:${port}`),
    requests,
    get connections() {
      return connections;
    },
  };
}

/** Where the first request ends; the gateway always sends a length. */
function endOf(heard: string): number | undefined {
  const head = heard.indexOf("\r\n\r\n");
  if (head < 0) return undefined;
  const length = Number(/\r\ncontent-length: *(\d+)/i.exec(heard.slice(0, head))?.[1] ?? 0);
  const end = head + 4 + length;
  return heard.length < end ? undefined : end;
}

/** Writes the bytes in two pieces that arrive one after the other. */
export async function writeInTwo(socket: Socket, bytes: Buffer, at: number): Promise<void> {
  socket.write(bytes.subarray(0, at));
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
  socket.write(bytes.subarray(at));
}
