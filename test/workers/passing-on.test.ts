import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Hono } from "hono";
import { describe, expect, it, onTestFinished } from "vitest";
import { listen } from "../../src/gateway/server.ts";
import { silentLogger as logger } from "../../src/telemetry/logger.ts";
import { passOn } from "../../src/workers/passing-on.ts";

interface Heard {
  readonly method: string;
  readonly path: string;
  readonly key: string | undefined;
  readonly body: string;
}

/** A worker's port, and what comes to the main thread through it. */
async function start() {
  const folder = await mkdtemp(join(tmpdir(), "aim-passing-"));
  const path = join(folder, "main.sock");
  const heard: Heard[] = [];
  const main = new Hono();
  main.all("*", async (c) => {
    const { method } = c.req;
    heard.push({ method, path: c.req.path, key: c.req.header("authorization"), body: await c.req.text() });
    return c.text("heard");
  });
  const inner = await listen(main, { host: "127.0.0.1", port: 0, path, logger });
  const worker = await listen({ fetch: passOn(path, logger) }, { host: "127.0.0.1", port: 0, logger });
  onTestFinished(async () => {
    await Promise.all([worker.close(0), inner.close(0)]);
    await rm(folder, { recursive: true });
  });
  /** Writes a request as it stands, on a connection of its own; resolves with the status of its answer. */
  const send = (lines: readonly string[], body = "") =>
    new Promise<string | undefined>((resolve, reject) => {
      const socket = connect(Number(worker.url.port), "127.0.0.1");
      socket.on("error", reject);
      socket.once("data", (bytes) => {
        resolve(/^HTTP\/1\.1 (\d+)/.exec(bytes.toString("latin1"))?.[1]);
        socket.destroy();
      });
      socket.write(`${lines.join("\r\n")}\r\nHost: a\r\n\r\n${body}`);
    });
  return { heard, send };
}

const chunked = (body: string) => `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
/** A body that would be a request, were it read as one, and take the next one's headers into itself. */
const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: a\r\nX-Swallowed: ";
const METHODS = ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const;

describe("what a worker passes on", () => {
  it.each(METHODS)("%s comes with its body, and leaves the next client's request alone", async (method) => {
    const { heard, send } = await start();
    const others = ["GET /own HTTP/1.1", "Authorization: Bearer victim"];
    const length = `Content-Length: ${SMUGGLED.length}`;
    expect(await send([`${method} /first HTTP/1.1`, "Transfer-Encoding: chunked"], chunked(SMUGGLED))).toBe("200");
    expect(await send(others)).toBe("200");
    expect(await send([`${method} /second HTTP/1.1`, length], SMUGGLED)).toBe("200");
    expect(await send(others)).toBe("200");
    expect(await send([`${method} /third HTTP/1.1`])).toBe("200");
    expect(await send(others)).toBe("200");
    const own = { method: "GET", path: "/own", key: "Bearer victim", body: "" };
    expect(heard).toEqual([
      { method, path: "/first", key: undefined, body: SMUGGLED },
      own,
      { method, path: "/second", key: undefined, body: SMUGGLED },
      own,
      { method, path: "/third", key: undefined, body: "" },
      own,
    ]);
  });

  it.each(["GET", "HEAD"])("%s comes without a body, be there one, and takes nothing of the next", async (method) => {
    const { heard, send } = await start();
    expect(await send([`${method} /first HTTP/1.1`, "Content-Length: 5"], "hello")).toBe("200");
    expect(await send(["GET /own HTTP/1.1"])).toBe("200");
    expect(await send([`${method} /second HTTP/1.1`, "Transfer-Encoding: chunked"], chunked(SMUGGLED))).toBe("200");
    expect(await send(["GET /own HTTP/1.1"])).toBe("200");
    expect(heard.map(({ path, body }) => path + body)).toEqual(["/first", "/own", "/second", "/own"]);
  });
});
