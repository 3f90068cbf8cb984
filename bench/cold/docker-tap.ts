// A way to Docker's socket that changes nothing and writes down when a container was asked for and when Docker had done it.
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/lib/clock.ts";

export interface Call {
  readonly kind: "create" | "start" | "other";
  /** Milliseconds since the Unix epoch, as all stamps of a cold start. */
  readonly askedAt: number;
  /** When the answer began. */
  answeredAt: number | undefined;
}

export interface DockerTap {
  readonly socketPath: string;
  /** The calls since the last look, in their order. */
  take(): readonly Call[];
  close(): Promise<void>;
}

/** The gateway makes one request per connection, so that the first line says what all of it is about. */
export async function startDockerTap(target: string): Promise<DockerTap> {
  const folder = await mkdtemp(join(tmpdir(), "aim-tap-"));
  const socketPath = join(folder, "docker.sock");
  const open = new Set<Socket>();
  let calls: Call[] = [];
  const server = createServer((client) => {
    client.once("data", (head) => {
      const call: Call = { kind: kindOf(head), askedAt: systemClock.wallNow(), answeredAt: undefined };
      calls.push(call);
      const docker = connect(target);
      bind(client, docker, open);
      docker.once("data", () => (call.answeredAt = systemClock.wallNow()));
      docker.write(head);
      client.pipe(docker).pipe(client);
    });
  });
  server.listen(socketPath);
  await once(server, "listening");
  return {
    socketPath,
    take() {
      const taken = calls;
      calls = [];
      return taken;
    },
    async close() {
      const closed = once(server, "close");
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
      await rm(folder, { recursive: true });
    },
  };
}

function kindOf(head: Buffer): Call["kind"] {
  const line = head.toString("latin1").split("\r\n", 1)[0] ?? "";
  if (/^POST \S*\/containers\/create\?/.test(line)) return "create";
  return /^POST \S*\/containers\/[^/]+\/start/.test(line) ? "start" : "other";
}

/** Neither outlives the other, however it ends. */
function bind(client: Socket, docker: Socket, open: Set<Socket>): void {
  for (const [one, other] of [
    [client, docker],
    [docker, client],
  ] as const) {
    open.add(one);
    one.on("error", () => one.destroy());
    one.on("close", () => {
      open.delete(one);
      other.destroy();
    });
  }
}
