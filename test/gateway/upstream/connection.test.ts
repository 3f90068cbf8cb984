// One connection to a backend: what becomes of it and of its request when the backend, the sink or time surprise it.
import type { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { until } from "../../support/until.ts";
import { pattern } from "./arbitrary.ts";
import { startBackend } from "./backend.ts";
import { ask, createUpstream, type Recorder } from "./recorder.ts";

const OK = "HTTP/1.1 200 OK\r\n";
const WHOLE = `${OK}Content-Length: 2\r\n\r\n{}`;
const CHUNKS = `${OK}Transfer-Encoding: chunked\r\n\r\n`;
const TWO_CHUNKS = `${CHUNKS}2\r\nab\r\n2;x\r\ncd\r\n`;

/** Writes as long as somebody listens. */
function flood(socket: Socket, bytes: string): void {
  const more = () => void (socket.destroyed || socket.write(bytes, () => setImmediate(more)));
  more();
}

describe("a connection is not used again", () => {
  it.each<[string, string, (socket: Socket) => void]>([
    ["that says more than its answer", "ended", (socket) => socket.write(`${WHOLE}${WHOLE}`)],
    ["that says a line break more", "ended", (socket) => socket.write(`${WHOLE}\r\n`)],
    [
      "that announces its end",
      "ended",
      (socket) => socket.write(`${OK}Connection: close\r\nContent-Length: 2\r\n\r\n{}`),
    ],
    ["of HTTP/1.0", "ended", (socket) => socket.write("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}")],
    ["whose end was the answer's end", "ended", (socket) => socket.end(`${OK}\r\n{}`)],
    ["that was closed with its answer", "ended", (socket) => socket.end(WHOLE)],
    ["that was closed without an answer", "unanswered", (socket) => socket.end()],
    ["that was reset without an answer", "unanswered", (socket) => socket.resetAndDestroy()],
    ["that was closed within the head", "bad_answer", (socket) => socket.end(OK)],
    ["that was closed within the body", "broken", (socket) => socket.end(`${OK}Content-Length: 3\r\n\r\n{}`)],
    ["that was closed within a chunk", "broken", (socket) => socket.end(`${CHUNKS}3\r\n{}`)],
    ["that was closed between chunks", "broken", (socket) => socket.end(`${CHUNKS}2\r\n{}\r\n`)],
    ["that was closed before the last line break", "broken", (socket) => socket.end(`${CHUNKS}0\r\n`)],
    [
      "that was reset within the body",
      "broken",
      (socket) => socket.write(`${OK}Content-Length: 3\r\n\r\n{}`, () => setImmediate(() => socket.resetAndDestroy())),
    ],
    ["with a garbled chunk", "bad_answer", (socket) => socket.write(`${CHUNKS}zz\r\n{}`)],
    ["with a head that is none", "bad_answer", (socket) => socket.write("SSH-2.0-OpenSSH_9.6\r\n")],
    [
      "with a head of bare line feeds",
      "bad_answer",
      (socket) => socket.write("HTTP/1.1 200 OK\nContent-Length: 2\n\n{}"),
    ],
    [
      "that switches to another protocol",
      "bad_answer",
      (socket) => socket.write("HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    ],
    [
      "with a head that is too large, at once",
      "bad_answer",
      (socket) => socket.write(`${OK}A: ${"a".repeat(33_000)}\r\n\r\n`),
    ],
    ["with a head without end", "bad_answer", (socket) => flood(socket, `${OK}A: ${"a".repeat(99)}`)],
    ["with interim heads without end", "bad_answer", (socket) => flood(socket, "HTTP/1.1 103 Early Hints\r\n\r\n")],
  ])("%s: %s", async (_, end, surprise) => {
    const backend = await startBackend(
      (socket) => void (backend.requests.length === 1 ? surprise(socket) : socket.write(WHOLE)),
    );
    const upstream = createUpstream();
    const first = ask(upstream, backend.address);
    expect([await first.over(), first.failure?.reused ?? false]).toEqual([end, false]);
    const second = ask(upstream, backend.address);
    expect([await second.over(), second.text, backend.sockets.length]).toEqual(["ended", "{}", 2]);
    await backend.closed();
    expect(first.calls.filter((call) => call === "onEnd" || call === "onFailure").length).toBe(1);
  });

  it("on which something is said while it is idle", async () => {
    const backend = await startBackend((socket) => void socket.write(WHOLE));
    const upstream = createUpstream();
    await ask(upstream, backend.address).over();
    backend.sockets[0]?.write(WHOLE);
    await backend.closed();
    expect(await ask(upstream, backend.address).over()).toBe("ended");
    expect(backend.sockets.length).toBe(2);
  });

  it("whose answer came before the request was out", async () => {
    const backend = await startBackend(() => {}, {
      onBytes: (socket) => void socket.pause().write(`HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}`),
    });
    const asked = ask(createUpstream(), backend.address, { body: Buffer.alloc(32 * 1024 * 1024) });
    expect([await asked.over(), asked.head?.status, asked.text]).toEqual(["ended", 413, "{}"]);
    backend.sockets[0]?.resume();
    await backend.closed();
  });

  it("that the backend closed for its half, with the request stuck in the other", async () => {
    const backend = await startBackend(() => {}, {
      onBytes: (socket) => void socket.pause().end(`${OK}Content-Length: 9\r\n\r\n{}`),
    });
    const asked = ask(createUpstream(), backend.address, { body: Buffer.alloc(32 * 1024 * 1024) });
    expect(await asked.over()).toBe("broken");
    backend.sockets[0]?.resume();
    await backend.closed();
  });
});

describe("a connection that served before", () => {
  it.each<[string, (socket: Socket) => void]>([
    ["closed", (socket) => socket.end()],
    ["reset", (socket) => socket.resetAndDestroy()],
  ])("and is %s instead of an answer says so", async (_, end) => {
    const backend = await startBackend(
      (socket) => void (backend.requests.length === 1 ? socket.write(WHOLE) : end(socket)),
    );
    const upstream = createUpstream();
    await ask(upstream, backend.address).over();
    const second = ask(upstream, backend.address);
    expect([await second.over(), second.failure?.reused, backend.sockets.length]).toEqual(["unanswered", true, 1]);
  });

  it("is not found paused where its last bytes were too much for a moment", async () => {
    const backend = await startBackend((socket) => void socket.write(WHOLE));
    const upstream = createUpstream();
    for (let round = 0; round < 3; round++) {
      const asked = ask(upstream, backend.address, { taking: () => "full" });
      expect([await asked.over(), asked.text]).toEqual(["ended", "{}"]);
    }
    expect(backend.sockets.length).toBe(1);
  });
});

describe("an abort", () => {
  const abort = (recorder: Recorder) => recorder.abort();

  it("before there is a connection ends it", async () => {
    const backend = await startBackend(() => {});
    const asked = ask(createUpstream(), backend.address);
    asked.abort();
    await until(() => backend.sockets.every(({ destroyed }) => destroyed));
    expect(asked.calls).toEqual([]);
  });

  it.each(["onSent", "onHead", "onContent", "onFrames", "afterRead"] as const)(
    "within %s closes the connection, and nothing more is called",
    async (call) => {
      const backend = await startBackend((socket) => void socket.write(TWO_CHUNKS));
      const asked = ask(createUpstream(), backend.address, {
        takesFrames: call === "onFrames",
        within: { [call]: abort },
      });
      await backend.closed();
      const after = asked.calls.slice(asked.calls.indexOf(call) + 1);
      expect(after).toEqual(call === "onSent" || call === "afterRead" ? [] : ["afterRead"]);
    },
  );

  it("while it is paused closes the connection, and nothing more is called", async () => {
    const backend = await startBackend((socket) => void socket.write(TWO_CHUNKS));
    const asked = ask(createUpstream(), backend.address, { taking: () => "full" });
    await until(() => asked.calls.at(-1) === "afterRead");
    const { length } = asked.calls;
    asked.abort();
    await backend.closed();
    asked.sending?.resume(asked);
    expect(asked.calls.length).toBe(length);
  });

  it("after the end does nothing to whoever has the connection next", async () => {
    const backend = await startBackend(
      (socket) => void (backend.requests.length === 1 ? socket.write(WHOLE) : undefined),
    );
    const upstream = createUpstream();
    const first = ask(upstream, backend.address, { within: { onEnd: abort } });
    await first.over();
    const second = ask(upstream, backend.address);
    await until(() => backend.requests.length === 2);
    first.abort();
    first.sending?.resume(first);
    backend.sockets[0]?.write(WHOLE);
    expect([await second.over(), second.text, backend.sockets.length]).toEqual(["ended", "{}", 1]);
  });
});

describe("a sink that throws", () => {
  it.each(["onHead", "onContent", "onFrames"] as const)(
    "within %s is told so, and the connection ends",
    async (call) => {
      const fault = new Error("full of holes");
      const throwIt = () => {
        throw fault;
      };
      const backend = await startBackend((socket) => void socket.write(TWO_CHUNKS));
      const asked = ask(createUpstream(), backend.address, {
        takesFrames: call === "onFrames",
        within: { [call]: throwIt },
      });
      expect([await asked.over(), asked.failure?.error]).toEqual(["broken", fault]);
      await backend.closed();
      expect(asked.calls.slice(-3)).toEqual([call, "onFailure", "afterRead"]);
    },
  );
});

describe("a sink that is full", () => {
  const BYTES = 48 * 1024 * 1024;

  it("is given nothing more until it asks for more, and then everything", { timeout: 60_000 }, async () => {
    const content = pattern(BYTES);
    const backend = await startBackend((socket) => {
      socket.write(`${OK}Content-Length: ${BYTES}\r\n\r\n`);
      socket.write(content);
    });
    const asked = ask(createUpstream(), backend.address, {
      taking: ({ parts }) => (parts.length === 5 ? "full" : "kept"),
    });
    await until(() => asked.parts.length === 5);
    for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(asked.parts.length).toBe(5);
    // What nobody asked for yet waits with the backend, not with us.
    expect(backend.sockets[0]?.writableLength).toBeGreaterThan(BYTES / 2);
    asked.sending?.resume(asked);
    expect(await asked.over()).toBe("ended");
    expect(Buffer.concat(asked.parts).equals(content)).toBe(true);
  });
});
