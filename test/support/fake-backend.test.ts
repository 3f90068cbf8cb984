// The fake backend itself, over raw sockets: a fake that misbehaves in another way than asked for proves nothing.
import { connect, type Socket } from "node:net";
import { gunzipSync } from "node:zlib";
import { afterEach, describe, expect, it } from "vitest";
import { startFakeBackend, type FakeBackend, type FakeBackendOptions, type FakeStream } from "./fake-backend.ts";
import { until } from "./until.ts";

const GET = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

describe("the fake backend", () => {
  let backend: FakeBackend;
  const clients: Socket[] = [];

  async function start(options?: FakeBackendOptions): Promise<void> {
    backend = await startFakeBackend(options);
  }

  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy();
    await backend.close();
  });

  /** A connection that has sent `bytes`, and what it got back. */
  function send(bytes: string): { readonly socket: Socket; got(): string; raw(): Buffer; how(): string } {
    const socket = connect({ port: Number(backend.address.port), host: "127.0.0.1", allowHalfOpen: true });
    clients.push(socket);
    const chunks: Buffer[] = [];
    let how = "open";
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.on("end", () => (how = "fin"));
    socket.on("error", (error: NodeJS.ErrnoException) => (how = error.code ?? error.message));
    socket.write(bytes);
    return { socket, got: () => raw().toString(), raw, how: () => how };
    function raw(): Buffer {
      return Buffer.concat(chunks);
    }
  }

  it("records method, path, raw headers and the exact bytes of the body", async () => {
    await start();
    const client = send(
      "POST /v1/x?y=1 HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nX-a: 2\r\nContent-Length: 4\r\n\r\n\u00e4\u00e4",
    );
    const request = await backend.nextRequest();
    await until(() => client.got().endsWith('{"ok":true}'));
    expect(request).toMatchObject({ method: "POST", path: "/v1/x?y=1", connection: 1, aborted: false });
    expect(request.rawHeaders).toEqual(["Host", "x", "X-A", "1", "X-a", "2", "Content-Length", "4"]);
    expect(request.body).toEqual(Buffer.from("ää"));
    expect(await request.ended).toBe("finished");
  });

  it("answers queued handlers first, on a connection that is kept", async () => {
    await start();
    backend.respondOnce((_request, reply) => reply.json(503, { busy: true }));
    const client = send(GET);
    await until(() => client.got().endsWith('{"busy":true}'));
    client.socket.write(GET);
    await until(() => client.got().endsWith('{"ok":true}'));
    expect(backend.connections).toBe(1);
    expect(client.got()).not.toMatch(/keep-alive: timeout/i);
  });

  it("streams what the test pushes, when it pushes it", async () => {
    await start();
    const opened = Promise.withResolvers<FakeStream>();
    backend.respond((_request, reply) => opened.resolve(reply.sse()));
    const client = send(GET);
    const stream = await opened.promise;
    await until(() => client.got().includes("text/event-stream"));
    await stream.push({ n: 1 });
    await until(() => client.got().includes('data: {"n":1}\n\n'));
    stream.done();
    await until(() => client.got().endsWith("\r\n0\r\n\r\n"));
    expect(client.got()).toContain("data: [DONE]\n\n");
  });

  it.each([
    ["cut", "fin"],
    ["reset", "ECONNRESET"],
  ] as const)("can %s a stream before its last chunk", async (verb, how) => {
    await start();
    backend.respond(async (_request, reply) => {
      const stream = reply.sse();
      await stream.push("a");
      await until(() => client.got().includes("data: a"));
      stream[verb]();
    });
    const client = send(GET);
    await until(() => client.how() === how);
    expect(client.got()).toContain("data: a");
    expect(client.got()).not.toContain("\r\n0\r\n");
    expect(await (await backend.nextRequest()).ended).toBe("aborted");
  });

  it("can cut before any answer, close one side alone, and write garbage", async () => {
    await start();
    backend.respondOnce((_request, reply) => reply.cut());
    const first = send(GET);
    await until(() => first.how() === "fin");
    expect(first.got()).toBe("");
    backend.respondOnce((_request, reply) => {
      reply.raw("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc");
      reply.halfClose();
    });
    const second = send(GET);
    await until(() => second.how() === "fin");
    expect(second.got()).toMatch(/abc$/);
    second.socket.write("more");
    expect(second.socket.writable).toBe(true);
  });

  it("gzips, redirects, sends interim heads and trailers", async () => {
    await start();
    backend.respondOnce((_request, reply) => {
      reply.informational(103, { link: "</a>" });
      reply.gzip(200, "hello", { connection: "close" });
    });
    const first = send(GET);
    await until(() => first.how() === "fin");
    expect(first.got()).toMatch(/^HTTP\/1.1 103 Interim\r\nlink: <\/a>\r\n\r\nHTTP\/1.1 200 OK\r\n/);
    expect(gunzipSync(first.raw().subarray(first.raw().lastIndexOf("\r\n\r\n") + 4)).toString()).toBe("hello");
    backend.respondOnce((_request, reply) => reply.redirect("http://169.254.169.254/"));
    const second = send(GET);
    await until(() => second.got().includes("location: http://169.254.169.254/"));
    backend.respondOnce((_request, reply) => reply.stream(200, { trailer: "x-sum" }).end({ "x-sum": "1" }));
    const third = send(GET);
    await until(() => third.got().endsWith("0\r\nx-sum: 1\r\n\r\n"));
  });

  it("tells that the client went away", async () => {
    await start({ handler: () => {} });
    const client = send(GET);
    const request = await backend.nextRequest();
    expect(request.aborted).toBe(false);
    client.socket.destroy();
    expect(await request.ended).toBe("aborted");
    expect(request.aborted).toBe(true);
    await until(() => backend.openConnections === 0);
  });

  it("closes idle connections without having announced it", async () => {
    await start({ idleCloseMs: 30 });
    const client = send(GET);
    await until(() => client.how() === "fin");
    expect(client.got()).toMatch(/connection: keep-alive/i);
  });

  it("answers before the body when told to be early", async () => {
    await start({ early: true });
    const client = send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc");
    await until(() => client.got().endsWith('{"ok":true}'));
    expect(backend.requests[0]?.body.length).toBeLessThan(100);
  });

  it("notes what its parser refuses, and reports what a handler throws", async () => {
    await start({ handler: () => Promise.reject(new Error("bad script")) });
    const client = send("GET / HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n");
    await until(() => client.how() === "fin");
    expect(backend.parseErrors).toHaveLength(1);
    send(GET);
    await backend.nextRequest();
    await expect(backend.close()).rejects.toThrow("a fake handler failed");
    await start();
  });
});
