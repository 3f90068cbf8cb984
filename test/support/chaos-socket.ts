// A proxy in front of Docker's socket that breaks one exchange at a time: delayed, dropped after the request was carried out,
// cut in the middle, or changed into something else.
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export type Fault =
  /** Docker does it, but the answer never arrives. */
  | { readonly kind: "drop answer" }
  /** Docker never hears of it. */
  | { readonly kind: "drop request" }
  /** Neither an answer nor an end. */
  | { readonly kind: "hang" }
  | { readonly kind: "cut answer"; readonly afterBytes: number }
  | { readonly kind: "answer"; readonly status: number; readonly body: string }
  /** Docker hears of it that much later. */
  | { readonly kind: "delay"; readonly ms: number }
  /** Docker is asked for another path. */
  | { readonly kind: "redirect"; readonly from: RegExp; readonly to: string };

export interface ChaosSocket {
  readonly socketPath: string;
  /** Request lines seen so far: "POST /v1.41/containers/create?name=…". */
  readonly requests: readonly string[];
  /** The most exchanges about such a line that were ever open at once. */
  peak(line: RegExp): number;
  /** Breaks the next `times` requests whose line matches, unless an earlier injection does. */
  inject(line: RegExp, fault: Fault, times?: number): void;
  /** Cuts every connection that is open now. */
  cutAll(): void;
  close(): Promise<void>;
}

interface Injection {
  readonly line: RegExp;
  readonly fault: Fault;
  left: number;
}

/** The client sends one request per connection, so the first line of a connection says what all of it is about. */
export async function startChaosSocket(target: string): Promise<ChaosSocket> {
  const folder = await mkdtemp(join(tmpdir(), "aim-chaos-"));
  const socketPath = join(folder, "docker.sock");
  const requests: string[] = [];
  /** Every beginning and end of an exchange, in their order. */
  const diary: { readonly line: string; readonly change: 1 | -1 }[] = [];
  const injections: Injection[] = [];
  const sockets = new Set<Socket>();

  function faultFor(line: string): Fault | undefined {
    const injection = injections.find((one) => one.left > 0 && one.line.test(line));
    if (injection !== undefined) injection.left -= 1;
    return injection?.fault;
  }

  function track(socket: Socket): Socket {
    sockets.add(socket);
    // Broken connections are the purpose; whoever holds the other end tells what it means.
    return socket.on("error", () => socket.destroy()).on("close", () => sockets.delete(socket));
  }

  const server = createServer((client) => {
    track(client).once("data", (head) => {
      const line = head.toString("latin1").split("\r\n", 1)[0] ?? "";
      requests.push(line.replace(/ HTTP.*$/, ""));
      diary.push({ line, change: 1 });
      client.once("close", () => diary.push({ line, change: -1 }));
      const upstream = () => track(connect(target));
      pass({ client, head, fault: faultFor(line), upstream });
    });
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));

  return {
    socketPath,
    requests,
    peak(line) {
      let open = 0;
      const counts = diary.filter((entry) => line.test(entry.line)).map(({ change }) => (open += change));
      return Math.max(0, ...counts);
    },
    inject: (line, fault, times = 1) => void injections.push({ line, fault, left: times }),
    cutAll: () => sockets.forEach((socket) => socket.destroy()),
    async close() {
      sockets.forEach((socket) => socket.destroy());
      await closed(server);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

interface Passage {
  readonly client: Socket;
  readonly head: Buffer;
  readonly fault: Fault | undefined;
  readonly upstream: () => Socket;
}

function pass({ client, head, fault, upstream }: Passage): void {
  switch (fault?.kind) {
    case "hang":
      return void client.resume();
    case "drop request":
      return void client.destroy();
    case "answer":
      client.end(
        `HTTP/1.1 ${fault.status} Chaos\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(fault.body)}\r\nconnection: close\r\n\r\n${fault.body}`,
      );
      return;
    case "drop answer":
      return forward(client, head, upstream()).once("data", () => client.destroy()) && undefined;
    case "cut answer": {
      let left = fault.afterBytes;
      forward(client, head, upstream()).on("data", (chunk: Buffer) => {
        client.write(chunk.subarray(0, left));
        left -= chunk.length;
        if (left <= 0) client.destroySoon();
      });
      return;
    }
    case "delay": {
      const timer = setTimeout(() => passOn(client, head, upstream()), fault.ms);
      client.pause().once("close", () => clearTimeout(timer));
      return;
    }
    case "redirect":
      return passOn(client, Buffer.from(head.toString("latin1").replace(fault.from, fault.to), "latin1"), upstream());
    case undefined:
      return passOn(client, head, upstream());
  }
}

function passOn(client: Socket, head: Buffer, server: Socket): void {
  forward(client, head, server).pipe(client);
}

function forward(client: Socket, head: Buffer, server: Socket): Socket {
  server.write(head);
  client.pipe(server);
  client.on("close", () => server.destroy());
  // A daemon that is not there hangs up.
  server.on("error", () => client.destroy());
  return server;
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
