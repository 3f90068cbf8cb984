// An image registry on 127.0.0.1 (Debian's docker-registry), and a proxy before it that cuts, stalls and refuses.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { until } from "./until.ts";

export interface Registry {
  /** "127.0.0.1:PORT", as the first part of an image's name. */
  readonly host: string;
  readonly url: string;
  stop(): Promise<void>;
}

/** Why there is none; undefined when one can be started. */
export async function registryProblem(): Promise<string | undefined> {
  return promisify(execFile)("docker-registry", ["--version"]).then(
    () => undefined,
    (error: unknown) => `docker-registry cannot be run: ${String(error)}`,
  );
}

/** Empty at first; keeps what is pushed in a folder that is deleted with it. */
export async function startRegistry(): Promise<Registry> {
  const folder = await mkdtemp(join(tmpdir(), "aim-registry-"));
  const host = `127.0.0.1:${await freePort()}`;
  const config = join(folder, "config.yaml");
  const storage = `storage:\n  filesystem:\n    rootdirectory: ${folder}/data\n`;
  await writeFile(config, `version: 0.1\nlog:\n  level: error\n${storage}http:\n  addr: ${host}\n`);
  const child = spawn("docker-registry", ["serve", config], { stdio: "ignore" });
  const url = `http://${host}`;
  const answers = () =>
    fetch(`${url}/v2/`).then(
      (response) => response.ok,
      () => false,
    );
  await until(answers, { what: "the registry" });
  return {
    host,
    url,
    async stop() {
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** What becomes of the answers to requests for blobs larger than `afterBytes`, or of all requests. */
export type RegistryFault =
  | { readonly kind: "cut"; readonly afterBytes: number }
  | { readonly kind: "stall"; readonly afterBytes: number }
  | { readonly kind: "refuse"; readonly status: number; readonly headers?: Readonly<Record<string, string>> };

export interface RegistryProxy {
  readonly host: string;
  /** "GET /v2/…", as they came. */
  readonly requests: readonly string[];
  /** From now on; undefined: none. */
  fault: RegistryFault | undefined;
  close(): Promise<void>;
}

export async function startRegistryProxy(registry: Registry): Promise<RegistryProxy> {
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((asked, answer) => {
    requests.push(`${asked.method} ${asked.url}`);
    pass({ asked, answer, registry, fault: proxy.fault });
  });
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const proxy: RegistryProxy = {
    host: `127.0.0.1:${portOf(server)}`,
    requests,
    fault: undefined,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  return proxy;
}

interface Passage {
  readonly asked: IncomingMessage;
  readonly answer: ServerResponse;
  readonly registry: Registry;
  readonly fault: RegistryFault | undefined;
}

function pass({ asked, answer, registry, fault }: Passage): void {
  if (fault?.kind === "refuse") {
    answer.writeHead(fault.status, { "docker-distribution-api-version": "registry/2.0", ...fault.headers }).end();
    return;
  }
  const target = { ...(asked.method === undefined ? {} : { method: asked.method }), headers: asked.headers };
  // Broken connections are the purpose; whoever holds the other end tells what it means.
  const onward = request(`${registry.url}${asked.url}`, { ...target, agent: false }, (answered) => {
    answer.writeHead(answered.statusCode ?? 502, answered.headers);
    const size = Number(answered.headers["content-length"] ?? 0);
    const isHit = fault !== undefined && /\/blobs\//.test(asked.url ?? "") && size > fault.afterBytes;
    if (isHit) cutShort(answered, answer, fault);
    else answered.pipe(answer);
  }).on("error", () => answer.destroy());
  answer.on("close", () => onward.destroy());
  asked.pipe(onward);
}

function cutShort(
  answered: IncomingMessage,
  answer: ServerResponse,
  fault: Exclude<RegistryFault, { kind: "refuse" }>,
): void {
  let left = fault.afterBytes;
  answered.on("data", (chunk: Buffer) => {
    if (left > 0) answer.write(chunk.subarray(0, left));
    left -= chunk.length;
    if (left > 0) return;
    answered.destroy();
    if (fault.kind === "cut") setImmediate(() => answer.socket?.destroySoon());
  });
}

async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const port = portOf(server);
  server.close();
  await once(server, "close");
  return port;
}

function portOf(server: Pick<Server, "address">): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return address.port;
}
