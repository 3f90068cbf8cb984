// A hundred clients that ask and do not read: what they cost is bounded, and nobody else notices.
import { once } from "node:events";
import { createConnection, type Socket } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { bytesInUse } from "../../support/garbage.ts";
import { until } from "../../support/until.ts";
import { CHAT, MODEL, startGateway } from "../harness.ts";
import { wireClient } from "./wire.ts";

const READERS = 100;
const CHUNK = Buffer.alloc(16 * 1024, "x");
/** What the gateway and the backend of the test, which share a process, may keep of each stream. */
const MOST_PER_READER = 256 * 1024;

describe("clients that do not read", { timeout: 60_000 }, () => {
  it("cost bounded memory, hold their backends back, and slow nobody else down", async () => {
    const gateway = await startGateway({ settings: { idleTimeoutMs: 60_000 } });
    const sent = new Map<number, number>();
    gateway.backend.respond(async ({ connection, headers }, reply) => {
      if (headers["x-request-id"] === "quick") return reply.json(200, { ok: true });
      const stream = reply.sse();
      while (await stream.write(CHUNK)) sent.set(connection, (sent.get(connection) ?? 0) + CHUNK.length);
    });
    const before = bytesInUse();
    const body = JSON.stringify({ model: MODEL, stream: true });
    const readers = Array.from({ length: READERS }, () => connectAndAsk(gateway.url, body));
    await Promise.all(readers.map((socket) => once(socket, "connect")));
    const total = () => [...sent.values()].reduce((sum, bytes) => sum + bytes, 0);
    const seen: number[] = [];
    const stands = () => sent.size === READERS && seen.push(total()) > 30 && seen.at(-30) === seen.at(-1);
    await until(stands, { timeoutMs: 40_000, what: "the end of what goes out" });
    expect((bytesInUse() - before) / READERS).toBeLessThan(MOST_PER_READER);

    const ask = wireClient(gateway.url);
    const askedAt = performance.now();
    for (let round = 0; round < 20; round++) {
      expect((await ask({ headers: { "x-request-id": "quick" } })).status).toBe(200);
    }
    expect((performance.now() - askedAt) / 20).toBeLessThan(250);

    for (const socket of readers) socket.destroy();
    await gateway.ended(READERS + 20);
  });
});

/** Never reads: what comes fills the buffers on the way. */
function connectAndAsk(url: URL, body: string): Socket {
  const socket = createConnection(Number(url.port), "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.on("error", () => {}); // it is cut in the end
  socket.pause();
  const head = `POST ${CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n`;
  socket.write(`${head}Content-Length: ${body.length}\r\n\r\n${body}`);
  return socket;
}
