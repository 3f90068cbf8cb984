// Requests to backends: over which connections they go, how those are found, kept and given up.
import { spawn } from "node:child_process";
import type { Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { buffer, text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it, onTestFinished } from "vitest";
import { collectGarbage } from "../../support/garbage.ts";
import { until } from "../../support/until.ts";
import { startFrozenListener } from "../frozen-listener.ts";
import { cut, pattern } from "./arbitrary.ts";
import { startBackend } from "./backend.ts";
import { ask, createUpstream } from "./recorder.ts";

const OK = "HTTP/1.1 200 OK\r\n";
const WHOLE = `${OK}Content-Length: 2\r\n\r\n{}`;

function startWilling() {
  return startBackend((socket) => void socket.write(WHOLE));
}

describe("a request", () => {
  it.each([2, 16_384, 16_385, 5_000_000])("of %i bytes arrives as it is", async (length) => {
    const backend = await startWilling();
    const body = pattern(length);
    const asked = ask(createUpstream(), backend.address, { body, headers: ["x-a", "é\xff", "x-a", "b"] });
    expect(await asked.over()).toBe("ended");
    const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: ${backend.address.host}\r\ncontent-length: ${length}\r\n`;
    expect(backend.requests[0] === `${head}x-a: é\xff\r\nx-a: b\r\n\r\n${body.toString("latin1")}`).toBe(true);
  });

  it.skipIf(networkInterfaces()["lo"]?.every(({ family }) => family === "IPv4"))(
    "goes to an IPv6 address",
    async () => {
      const backend = await startBackend((socket) => void socket.write(WHOLE), { host: "::1" });
      expect(await ask(createUpstream(), backend.address).over()).toBe("ended");
      expect(backend.requests[0]).toContain(`\r\nhost: [::1]:${backend.address.port}\r\n`);
    },
  );

  it("goes to a name of more than one address", async () => {
    const backend = await startWilling();
    const asked = ask(createUpstream(), new URL(`http://localhost:${backend.address.port}`));
    expect(await asked.over()).toBe("ended");
  });

  it("is unreachable where nobody listens", async () => {
    const asked = ask(createUpstream(), new URL("http://127.0.0.1:1"));
    const told = [await asked.over(), asked.failure, asked.calls];
    expect(told).toMatchObject(["unreachable", { reused: false }, ["onFailure"]]);
  });

  it("is unreachable where the connection takes too long, and is not sent after all", async () => {
    const listener = await startFrozenListener();
    const asked = ask(createUpstream(), listener.address, { connectTimeoutMs: 200 });
    expect([await asked.over(), asked.failure?.error.message]).toEqual(["unreachable", "the connection took too long"]);
    expect(await listener.thaw()).toBe(0);
  });
});

describe("connections", () => {
  it("are as many as there are requests at a time, and the one used last is used next", async () => {
    const backend = await startWilling();
    const upstream = createUpstream();
    const askAtOnce = (count: number) =>
      Promise.all(Array.from({ length: count }, () => ask(upstream, backend.address).over()));
    await askAtOnce(5);
    for (let round = 0; round < 10; round++) await askAtOnce(3);
    expect(backend.sockets.length).toBe(5);
    const read = () => backend.sockets.map(({ bytesRead }) => bytesRead);
    const before = read();
    for (let round = 0; round < 3; round++) await askAtOnce(1);
    expect(read().filter((bytes, at) => bytes !== before[at]).length).toBe(1);
  });

  it("serve the backend whose address they were opened for", async () => {
    const backend = await startWilling();
    const upstream = createUpstream();
    await ask(upstream, backend.address).over();
    await ask(upstream, new URL(backend.address)).over();
    expect(backend.sockets.length).toBe(2);
  });

  it("are new where the request may not go over one that served before", async () => {
    const backend = await startWilling();
    const upstream = createUpstream();
    for (const fresh of [false, true, false]) await ask(upstream, backend.address, { fresh }).over();
    expect(backend.sockets.length).toBe(2);
  });

  it("that close in the same moment are all forgotten", async () => {
    const backend = await startWilling();
    const upstream = createUpstream();
    const askThree = () => Promise.all([1, 2, 3].map(() => ask(upstream, backend.address).over()));
    for (let round = 1; round <= 3; round++) {
      expect(await askThree()).toEqual(["ended", "ended", "ended"]);
      for (const socket of backend.sockets) socket.end();
      for (let number = 0; number < 3 * round; number++) await backend.closed(number);
      expect(backend.sockets.length).toBe(3 * round);
    }
  });

  it("are closed when they have been idle for so long", async () => {
    const backend = await startWilling();
    await ask(createUpstream({ idleMs: 50 }), backend.address).over();
    await backend.closed();
  });

  it("live through a silence that is longer than they may be idle, and then are closed all the same", async () => {
    const backend = await startBackend((socket) => void setTimeout(() => socket.write(WHOLE), 200));
    const asked = ask(createUpstream({ idleMs: 50 }), backend.address);
    expect(await asked.over()).toBe("ended");
    await backend.closed();
  });

  it("leave nothing behind, however many requests they serve", { timeout: 60_000 }, async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on("warning", onWarning);
    onTestFinished(() => void process.off("warning", onWarning));
    const backend = await startWilling();
    const upstream = createUpstream();
    const heapAfter = async (requests: number) => {
      for (let count = 0; count < requests; count++) {
        const { promise, resolve } = Promise.withResolvers<void>();
        ask(upstream, backend.address, { within: { onEnd: () => resolve() } });
        await promise;
      }
      collectGarbage();
      return process.memoryUsage().heapUsed;
    };
    const before = await heapAfter(1_000);
    const after = await heapAfter(5_000);
    expect([backend.sockets.length, warnings]).toEqual([1, []]);
    // The backend of the test keeps the text of each request.
    expect((after - before) / 5_000).toBeLessThan(600);
  });
});

describe("bytes that were handed over", () => {
  it("stay as they are for as long as they are in use, whatever comes after them", { timeout: 60_000 }, async () => {
    const bytesOf = fc.integer({ min: 1, max: 600_000 }).map((length) => pattern(length));
    const places = fc.array(fc.nat(600_000), { maxLength: 30 });
    const moods = fc.infiniteStream(
      fc.constantFrom("free" as const, "kept" as const, "kept" as const, "full" as const),
    );
    await fc.assert(
      fc.asyncProperty(bytesOf, places, moods, async (content, cuts, taking) => {
        const backend = await startBackend((socket) => void writeEach(socket, content, cuts));
        const upstream = createUpstream();
        // Twice, since the second begins in the memory that the first had its last bytes in.
        const before = ask(upstream, backend.address, { taking: () => "kept" });
        await before.over();
        const asked = ask(upstream, backend.address, {
          taking: () => {
            const mood = taking.next().value ?? "free";
            if (mood === "full") setImmediate(() => asked.sending?.resume(asked));
            return mood;
          },
        });
        expect([await asked.over(), backend.sockets.length]).toEqual(["ended", 1]);
        for (const { parts } of [before, asked]) expect(Buffer.concat(parts).equals(content)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it("stay as they are while the connection serves another sink, which has no use for its own", async () => {
    const backend = await startBackend((socket, request) => void socket.write(WHOLE.replace("{}", request.slice(-2))));
    const upstream = createUpstream();
    const kept = ask(upstream, backend.address, { body: Buffer.from("ab"), taking: () => "kept" });
    await kept.over();
    for (const body of ["cd", "ef", "gh"]) await ask(upstream, backend.address, { body: Buffer.from(body) }).over();
    expect([kept.text, backend.sockets.length]).toEqual(["ab", 1]);
  });

  it("hold little memory beside their own", async () => {
    const EVENTS = 1_000;
    const event = "x".repeat(250);
    const backend = await startBackend((socket) => {
      let sent = 0;
      const next = () => void (sent++ < EVENTS && socket.write(event, () => setImmediate(next)));
      socket.write(`${OK}Content-Length: ${EVENTS * 250}\r\n\r\n`);
      next();
    });
    const asked = ask(createUpstream(), backend.address, { taking: () => "kept" });
    await asked.over();
    const memory = new Set(asked.parts.map((part) => part.buffer));
    const held = [...memory].reduce((total, { byteLength }) => total + byteLength, 0);
    expect(held).toBeLessThan(2 * EVENTS * 250 + 64 * 1024);
  });
});

async function writeEach(socket: Socket, content: Buffer, cuts: readonly number[]): Promise<void> {
  socket.write(`${OK}Content-Length: ${content.length}\r\n\r\n`);
  for (const part of cut(content, cuts)) {
    socket.write(part);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe("a process", () => {
  const run = (...args: readonly string[]) => {
    const program = fileURLToPath(new URL("one-request.ts", import.meta.url));
    const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    onTestFinished(() => void child.kill("SIGKILL"));
    const status = new Promise((resolve) => child.once("exit", resolve));
    return Promise.all([status, buffer(child.stdout), text(child.stderr)]);
  };

  it("is not kept alive by a connection that is idle", async () => {
    const backend = await startWilling();
    const [status, out] = await run(backend.address.href);
    expect([status, out.toString()]).toEqual([0, "answered"]);
  });

  it("is told of a fault in the last call of a sink, which nobody else could be told", async () => {
    const backend = await startWilling();
    const [status, , err] = await run(backend.address.href, "full of holes");
    expect([status, err]).toEqual([1, expect.stringContaining("full of holes")]);
  });

  it("is not kept from going on by what is left of a connection", async () => {
    const backend = await startBackend((socket) => void socket.end(WHOLE));
    const [status] = await run(backend.address.href);
    await until(() => backend.sockets.every(({ destroyed }) => destroyed));
    expect(status).toBe(0);
  });
});
