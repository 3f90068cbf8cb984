import { once } from "node:events";
import { createConnection } from "node:net";
import { Hono } from "hono";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { listen } from "../../src/gateway/server.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { until } from "../support/until.ts";
import { CHAT, MODEL, startGateway } from "./harness.ts";

/** What comes back for these bytes until the server closes the connection, or there is what `enough` looks for. */
async function exchange(url: URL, bytes: string | Buffer, enough?: RegExp): Promise<string> {
  const socket = createConnection(Number(url.port), "127.0.0.1");
  let text = "";
  let closed = false;
  socket.on("data", (chunk) => (text += chunk.toString("latin1")));
  socket.on("error", (error) => (text += `<${error.message}>`));
  socket.on("close", () => (closed = true));
  socket.write(bytes);
  await until(() => closed || enough?.test(text) === true, { what: "an answer" });
  socket.destroy();
  return text;
}

function recordWarnings() {
  const warned: string[] = [];
  const logger = silentLogger.child({});
  logger.warn = (_: unknown, message?: string) => void warned.push(String(message));
  return { warned, logger };
}

const BODY = JSON.stringify({ model: MODEL });
const HEAD = `POST ${CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n`;
const CHUNKED = `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`;

describe("requests that two parsers could read differently", () => {
  it.each([
    ["a length and chunks", `${HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKED}`],
    ["chunks and a length", `${HEAD}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n${CHUNKED}`],
    ["two lengths", `${HEAD}Content-Length: ${BODY.length}\r\nContent-Length: 3\r\n\r\n${BODY}`],
    ["a length of two values", `${HEAD}Content-Length: ${BODY.length}, 3\r\n\r\n${BODY}`],
    ["a negative length", `${HEAD}Content-Length: -1\r\n\r\n${BODY}`],
    ["a hexadecimal length", `${HEAD}Content-Length: 0x10\r\n\r\n${BODY}`],
    ["an unknown coding", `${HEAD}Transfer-Encoding: xchunked\r\n\r\n${CHUNKED}`],
    ["chunked that is not last", `${HEAD}Transfer-Encoding: chunked, identity\r\n\r\n${CHUNKED}`],
    ["a bad chunk size", `${HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n${BODY}\r\n0\r\n\r\n`],
    ["a chunk longer than it says", `${HEAD}Transfer-Encoding: chunked\r\n\r\n3\r\n${BODY}\r\n0\r\n\r\n`],
    ["two hosts", `${HEAD}Host: other\r\nContent-Length: ${BODY.length}\r\nConnection: close\r\n\r\n${BODY}`],
    ["no host", `POST ${CHAT} HTTP/1.1\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`],
    ["a space before the colon", `${HEAD}Content-Length : ${BODY.length}\r\n\r\n${BODY}`],
    ["a NUL in a header", `${HEAD}X: a\0b\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`],
    ["a folded header", `${HEAD}X: a\r\n b: c\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`],
    ["HTTP/0.9", `GET ${CHAT}\r\n\r\n`],
    ["HTTP/2 by prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
  ])("are refused: %s", async (_, bytes) => {
    const gateway = await startGateway();
    expect(await exchange(gateway.url, bytes)).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect(gateway.pool.asked).toHaveLength(0);
    expect(gateway.backend.requests).toHaveLength(0);
  });

  it("do not smuggle a second request behind the first", async () => {
    const gateway = await startGateway();
    const hidden = `GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n`;
    const bytes = `${HEAD}Content-Length: ${BODY.length + hidden.length}\r\nConnection: close\r\n\r\n${BODY}${hidden}`;
    const answer = await exchange(gateway.url, bytes);
    expect(answer.match(/HTTP\/1\.1 /g)).toHaveLength(1);
    expect(answer).toContain("invalid_json");
  });

  it("re-frames a chunked body with its length", async () => {
    const gateway = await startGateway();
    await exchange(gateway.url, `${HEAD}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n${CHUNKED}`);
    const request = await gateway.backend.nextRequest();
    expect(request.body.toString()).toBe(BODY);
    expect(request.headers["content-length"]).toBe(String(BODY.length));
    expect(request.headers["transfer-encoding"]).toBeUndefined();
  });

  it("takes no harm from a header named __proto__", async () => {
    const gateway = await startGateway();
    const bytes = `${HEAD}__proto__: x\r\nConnection: close\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`;
    expect(await exchange(gateway.url, bytes)).toMatch(/^HTTP\/1\.1 200 /);
    expect((await gateway.backend.nextRequest()).rawHeaders).toContain("__proto__");
  });

  it("takes 64 KiB of headers, cookies and all, and no more", async () => {
    const gateway = await startGateway();
    const rest = `Connection: close\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`;
    const cookie = (length: number) => `Cookie: ${"x".repeat(length)}\r\n`;
    expect(await exchange(gateway.url, `${HEAD}${cookie(60_000)}${rest}`)).toMatch(/^HTTP\/1\.1 200 /);
    expect(await exchange(gateway.url, `${HEAD}${cookie(70_000)}${rest}`)).toMatch(/^HTTP\/1\.1 431 /);
  });

  it("drops no header without a word, however many there are", async () => {
    const gateway = await startGateway();
    const many = Array.from({ length: 3000 }, (_, n) => `X-${n}: ${n}\r\n`).join("");
    const answer = await exchange(
      gateway.url,
      `${HEAD}${many}Connection: close\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`,
    );
    expect(answer).toContain("more headers to pass on");
    expect(gateway.pool.asked).toHaveLength(0);
  });
});

describe("bodies", () => {
  const settings = { maxBodyBytes: 1000 };

  it("that announce too much are refused before they are sent", async () => {
    const gateway = await startGateway({ settings });
    const answer = await exchange(gateway.url, `${HEAD}Content-Length: 2000000000\r\n\r\n`, /\}\}$/);
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toContain("request_too_large");
    expect(answer.toLowerCase()).toContain("connection: close");
  });

  it("that grow too large are refused while they come, and the client sees why", async () => {
    const gateway = await startGateway({ settings });
    const chunk = `1000\r\n${"x".repeat(4096)}\r\n`;
    const answer = await exchange(gateway.url, `${HEAD}Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(1000)}`);
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    // To the end: neither a reset nor a broken pipe came in between.
    expect(answer).toMatch(/"code":"request_too_large"\}\}$/);
    expect(gateway.pool.asked).toHaveLength(0);
  });

  it("of exactly the size that is allowed pass", async () => {
    const body = JSON.stringify({ model: MODEL, a: "" });
    const gateway = await startGateway({ settings: { maxBodyBytes: body.length } });
    expect((await gateway.chat({}, { body })).status).toBe(200);
    expect((await gateway.chat({}, { body: `${body} ` })).status).toBe(413);
  });

  it.each([
    ["content-encoding", "gzip", "unsupported_encoding"],
    ["content-encoding", "gzip, identity", "unsupported_encoding"],
    ["content-type", "text/plain", "unsupported_media_type"],
    ["content-type", "application/json; charset=utf-16", "unsupported_media_type"],
    ["content-type", "application/x-www-form-urlencoded", "unsupported_media_type"],
  ])("with %s %s are refused", async (name, value, code) => {
    const gateway = await startGateway();
    const response = await gateway.chat({}, { headers: { [name]: value } });
    expect([response.status, await response.json()]).toMatchObject([415, { error: { code } }]);
  });

  it("may say identity and charset=utf-8, which mean nothing", async () => {
    const gateway = await startGateway();
    const headers = { "content-type": "application/json; charset=UTF-8", "content-encoding": "identity" };
    expect((await gateway.chat({}, { headers })).status).toBe(200);
  });

  it("are invited with 100 Continue", async () => {
    const gateway = await startGateway();
    const bytes = `${HEAD}Expect: 100-continue\r\nConnection: close\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`;
    expect(await exchange(gateway.url, bytes)).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /);
    expect((await gateway.backend.nextRequest()).headers).not.toHaveProperty("expect");
  });
});

describe("other protocols", () => {
  it.each(["websocket", "h2c"])("an upgrade to %s is ignored: the request is answered as it is", async (upgrade) => {
    const gateway = await startGateway();
    const bytes = `${HEAD}Connection: Upgrade, close\r\nUpgrade: ${upgrade}\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`;
    expect(await exchange(gateway.url, bytes, /true/)).toMatch(/^HTTP\/1\.1 200 /);
    expect((await gateway.backend.nextRequest()).headers).not.toHaveProperty("upgrade");
  });

  it("a tunnel is refused", async () => {
    const gateway = await startGateway();
    expect(await exchange(gateway.url, "CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: x\r\n\r\n")).toMatch(
      /^HTTP\/1\.1 405 /,
    );
  });

  it("TRACE is refused", async () => {
    const gateway = await startGateway();
    const bytes = `TRACE ${CHAT} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;
    expect(await exchange(gateway.url, bytes)).toMatch(/^HTTP\/1\.1 405 /);
  });

  it("HTTP/1.0 gets an answer that ends with its connection", async () => {
    const gateway = await startGateway();
    const bytes = `POST ${CHAT} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`;
    expect(await exchange(gateway.url, bytes)).toMatch(/^HTTP\/1\.1 200 .*\{"ok":true\}$/s);
  });
});

describe("listen", () => {
  const options = { host: "127.0.0.1", port: 0, logger: silentLogger };

  it("says what to do when the port is taken", async () => {
    const first = await listen(new Hono(), options);
    onTestFinished(() => first.close(0));
    await expect(listen(new Hono(), { ...options, port: Number(first.url.port) })).rejects.toMatchObject({
      code: "invalid_config",
      message: expect.stringMatching(/127\.0\.0\.1:\d+: another program listens there already/),
    });
  });

  it("says what to do when the address is none of this machine's", async () => {
    await expect(listen(new Hono(), { ...options, host: "192.0.2.1" })).rejects.toMatchObject({
      message: expect.stringContaining("no such address"),
    });
  });

  it("gives a URL that can be opened, whatever it listens on", async () => {
    const server = await listen(
      new Hono().get("/", (c) => c.text("here")),
      { ...options, host: "0.0.0.0" },
    );
    onTestFinished(() => server.close(0));
    expect(server.url.hostname).toBe("127.0.0.1");
    expect(await (await fetch(server.url)).text()).toBe("here");
  });

  it("lets what is under way finish, ends idle connections, and takes no more", async () => {
    const gateway = await startGateway();
    const opened = Promise.withResolvers<() => void>();
    gateway.backend.respond((_, reply) => opened.resolve(() => reply.json(200, { late: true })));
    const pending = gateway.chat();
    const answer = await opened.promise;
    const closed = gateway.server.close(60_000);
    await expect(fetch(gateway.url)).rejects.toThrow();
    answer();
    expect(await (await pending).json()).toEqual({ late: true });
    await closed;
  });

  it("cuts what is not finished in time, and the backend with it", async () => {
    const gateway = await startGateway();
    gateway.backend.respond(() => {});
    const pending = expect(gateway.chat()).rejects.toThrow();
    const request = await gateway.backend.nextRequest();
    await gateway.server.close(10);
    await pending;
    expect(await request.ended).toBe("aborted");
  });

  it("cuts a body that fails, in the log and not on the console", async () => {
    const output = ["log", "info", "error"] as const;
    const prints = output.map((name) => vi.spyOn(console, name).mockImplementation(() => {}));
    const { warned, logger } = recordWarnings();
    const app = new Hono().get("/", (c) => {
      let pulls = 0;
      const body = new ReadableStream({
        pull(controller) {
          if (pulls++ < 3) controller.enqueue(Buffer.from("part"));
          else controller.error(new Error("canary"));
        },
      });
      return c.body(body);
    });
    const server = await listen(app, { ...options, logger });
    onTestFinished(() => server.close(0));
    await expect(fetch(server.url).then((response) => response.text())).rejects.toThrow();
    expect(warned).toEqual(["answer broke off"]);
    for (const print of prints) expect(print).not.toHaveBeenCalled();
  });

  it("stops the source of a body when the client leaves, which is no failure", async () => {
    const { warned, logger } = recordWarnings();
    const cancelled = Promise.withResolvers<void>();
    const app = new Hono().get("/", (c) =>
      c.body(
        new ReadableStream({
          start: (controller) => controller.enqueue(Buffer.from("part")),
          cancel: () => cancelled.resolve(),
        }),
      ),
    );
    const server = await listen(app, { ...options, logger });
    onTestFinished(() => server.close(0));
    const socket = createConnection(Number(server.url.port), "127.0.0.1");
    socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await once(socket, "data");
    socket.destroy();
    await cancelled.promise;
    await server.close(0);
    expect(warned).toEqual([]);
  });
});
