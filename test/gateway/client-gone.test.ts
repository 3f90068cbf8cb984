import { createConnection, type Socket } from "node:net";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { until } from "../support/until.ts";
import { startFrozenListener } from "./frozen-listener.ts";
import { CHAT, type Gateway, MODEL, startGateway } from "./harness.ts";

/** Sends a chat request over a socket of its own and returns the socket. */
async function send(
  gateway: Gateway,
  options: { readonly stream: boolean; readonly cutBody?: boolean; readonly target?: string },
): Promise<Socket> {
  const socket = createConnection(Number(gateway.url.port), "127.0.0.1");
  await once(socket, "connect");
  socket.on("error", () => {});
  const body = JSON.stringify({ model: MODEL, stream: options.stream });
  const sent = options.cutBody === true ? body.slice(0, -1) : body;
  socket.write(
    `POST ${options.target ?? CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${sent}`,
  );
  return socket;
}

async function leave(socket: Socket): Promise<number> {
  const leftAt = performance.now();
  socket.destroy();
  await once(socket, "close");
  return leftAt;
}

async function expectRecorded(gateway: Gateway, phase: string): Promise<void> {
  const [line] = await gateway.ended();
  expect(line).toMatchObject({ level: 20, status: 499, outcome: "client_closed_request", phase });
  expect(await gateway.counter("aim_stream_aborts_total", { side: "client", phase })).toBe(1);
  expect(await gateway.counter("aim_http_requests_total", { code: "499" })).toBe(1);
  expect(await gateway.counter("aim_retries_total", {})).toBe(0);
}

describe.each([{ stream: true }, { stream: false }])("a client that leaves ($stream)", ({ stream }) => {
  it("while it sends its body costs nothing", async () => {
    const gateway = await startGateway();
    const socket = await send(gateway, { stream, cutBody: true });
    socket.write("");
    await leave(socket);
    await expectRecorded(gateway, "reading");
    expect(gateway.pool.asked).toHaveLength(0);
  });

  it("while it waits for a replica gives up its place", async () => {
    const gateway = await startGateway();
    gateway.pool.hold();
    const socket = await send(gateway, { stream });
    const [asked] = await until(() => gateway.pool.asked.length === 1 && gateway.pool.asked);
    const leftAt = await leave(socket);
    await until(() => asked!.signal!.aborted);
    expect(performance.now() - leftAt).toBeLessThan(1000);
    await expectRecorded(gateway, "queued");
  });

  it("in the moment its replica is granted gives the replica back", async () => {
    const gateway = await startGateway();
    gateway.pool.hold();
    const socket = await send(gateway, { stream });
    gateway.pool.grantsTooLate = true;
    await until(() => gateway.pool.asked.length === 1);
    await leave(socket);
    await gateway.ended();
    expect(gateway.pool.leases[0]!.releases).toBe(1);
  });

  it("before the first byte stops the backend within a second, without blame", async () => {
    const gateway = await startGateway();
    gateway.backend.respond(() => {});
    const socket = await send(gateway, { stream });
    const request = await gateway.backend.nextRequest();
    const leftAt = await leave(socket);
    expect(await request.ended).toBe("aborted");
    expect(performance.now() - leftAt).toBeLessThan(1000);
    await expectRecorded(gateway, "first_byte");
    expect(gateway.pool.leases[0]!.outcomes).toEqual([{ kind: "client_gone" }]);
  });

  it("in the middle of the answer stops the backend within a second, without blame", async () => {
    const gateway = await startGateway();
    gateway.backend.respond(async (_, reply) => {
      const answer = stream ? reply.sse() : reply.stream(200, { "content-type": "application/json" });
      while (gateway.pool.leases[0]?.releases === 0) {
        await answer.push("x");
        await new Promise((resolve) => setImmediate(resolve));
      }
    });
    const socket = await send(gateway, { stream });
    const request = await gateway.backend.nextRequest();
    await once(socket, "data");
    const leftAt = await leave(socket);
    expect(await request.ended).toBe("aborted");
    expect(performance.now() - leftAt).toBeLessThan(1000);
    await expectRecorded(gateway, "streaming");
    expect(gateway.pool.leases[0]!.outcomes).toEqual([{ kind: "client_gone" }]);
  });

  it("while the backend is dialled does not wait for the dial", async () => {
    const frozen = await startFrozenListener();
    const settings = { connectTimeoutMs: 10_000 };
    const gateway = await startGateway({ addresses: [frozen.address], settings });
    const socket = await send(gateway, { stream });
    await until(() => gateway.pool.leases.length === 1);
    const leftAt = await leave(socket);
    await expectRecorded(gateway, "connecting");
    expect(performance.now() - leftAt).toBeLessThan(1000);
    expect(gateway.pool.leases[0]!.outcomes).toEqual([{ kind: "client_gone" }]);
    // The dial may succeed yet; then nothing is sent.
    expect(await frozen.thaw()).toBe(0);
  });
});

function pipelined(target: string): string {
  const body = JSON.stringify({ model: MODEL });
  return `POST ${target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

describe("pipelined requests", () => {
  it("wait for their turn, and end with their client", async () => {
    const gateway = await startGateway();
    gateway.pool.hold();
    const socket = await send(gateway, { stream: false });
    socket.write(pipelined(CHAT).repeat(20));
    await until(() => gateway.pool.asked.length === 1);
    await leave(socket);
    await gateway.ended(1);
    expect(gateway.pool.asked.map(({ signal }) => signal!.aborted)).toEqual([true]);
  });

  it("are all stopped when their client leaves, where Node has read them", async () => {
    const gateway = await startGateway();
    gateway.pool.hold();
    const target = `${CHAT}?api-version=1`;
    const socket = await send(gateway, { stream: false, target });
    socket.write(pipelined(target).repeat(20));
    await until(() => gateway.pool.asked.length === 21);
    await leave(socket);
    await gateway.ended(21);
    expect(gateway.pool.asked.every(({ signal }) => signal!.aborted)).toBe(true);
  });

  it("are answered in order", async () => {
    const gateway = await startGateway();
    const socket = await send(gateway, { stream: false });
    const body = JSON.stringify({ model: MODEL });
    const request = (n: number) =>
      `POST ${CHAT} HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: r${n}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    let text = "";
    socket.on("data", (chunk) => (text += chunk.toString()));
    socket.write(request(1) + request(2) + request(3));
    const ids = () => [...text.matchAll(/x-request-id: (r\d)/g)].map(([, id]) => id);
    await until(() => ids().length === 3);
    expect(ids()).toEqual(["r1", "r2", "r3"]);
    await leave(socket);
  });
});
