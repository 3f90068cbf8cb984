import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { apiKey, CHAT, MODEL, startGateway } from "./harness.ts";
import type { FakeStream } from "../support/fake-backend.ts";
import { until } from "../support/until.ts";

/** The parts of a body as they arrive. */
function reader(response: Response) {
  const parts = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  return async () => (await parts.read()).value;
}

describe("forwarding", () => {
  it("passes an answer on with its status, headers and bytes", async () => {
    const gateway = await startGateway();
    gateway.backend.respond((_, reply) => reply.json(200, { answer: 42 }, { "x-engine": "v1", server: "uvicorn" }));
    const response = await gateway.chat();
    expect(response.status).toBe(200);
    expect(await response.text()).toBe('{"answer":42}');
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "application/json",
      "content-length": "13",
      "x-engine": "v1",
      "x-aim-model": MODEL,
      "x-aim-replica": "replica-1",
      "x-aim-queue-ms": expect.stringMatching(/^\d+$/),
      "x-aim-source": "backend",
      "x-request-id": expect.stringMatching(/^[0-9a-f]{16}$/),
    });
    expect(response.headers.has("server")).toBe(false);
    expect(response.headers.has("x-aim-cold-start")).toBe(false);
    expect(gateway.pool.leases[0]!.outcomes).toEqual([{ kind: "completed" }]);
    await gateway.ended();
    expect(gateway.pool.leases[0]!.firstBytes).toBe(1);
  });

  it("sends the client's very bytes to the same path of the backend", async () => {
    const gateway = await startGateway();
    const body = `{ "seed":12345678901234567890, "model":"${MODEL}", "temperature":1.0, "t":"é\\u00e9" }`;
    await gateway.chat({}, { body });
    const request = await gateway.backend.nextRequest();
    expect(request).toMatchObject({ method: "POST", path: CHAT });
    expect(request.body.toString()).toBe(body);
    expect(request.headers["content-length"]).toBe(String(Buffer.byteLength(body)));
  });

  it("replaces an alias by the model it means, and nothing else", async () => {
    const gateway = await startGateway();
    await gateway.chat({}, { body: '{"a":1.0, "model" : "chat" ,"seed":12345678901234567890}' });
    const request = await gateway.backend.nextRequest();
    expect(request.body.toString()).toBe(`{"a":1.0, "model" : "${MODEL}" ,"seed":12345678901234567890}`);
  });

  it("keeps the client's secrets from the backend, and tells it the request id", async () => {
    const gateway = await startGateway({ keys: [apiKey("canary")] });
    await gateway.chat({}, { headers: { authorization: "Bearer canary", cookie: "canary", "x-request-id": "my-id" } });
    const request = await gateway.backend.nextRequest();
    expect(request.rawHeaders.join()).not.toContain("canary");
    expect(request.headers["x-request-id"]).toBe("my-id");
    expect(request.headers.host).toBe(gateway.backend.address.host);
  });

  it("passes a backend's error on unchanged and marks whose it is", async () => {
    const gateway = await startGateway();
    const error = { error: { message: "too long", type: "BadRequestError", param: null, code: 400 } };
    gateway.backend.respond((_, reply) => reply.json(400, error));
    const response = await gateway.chat();
    expect([response.status, await response.json()]).toEqual([400, error]);
    expect(response.headers.get("x-aim-source")).toBe("backend");
    expect(await gateway.counter("aim_http_requests_total", { code: "400", model: MODEL })).toBe(1);
  });

  it("leaves compressed answers compressed, with the length that belongs to them", async () => {
    const gateway = await startGateway();
    gateway.backend.respond((_, reply) => reply.gzip(200, "text ".repeat(1000)));
    const response = await gateway.chat();
    expect(response.headers.get("content-encoding")).toBe("gzip");
    expect(await response.text()).toBe("text ".repeat(1000));
    expect(response.headers.get("content-length")).toBe(String(gzipSync("text ".repeat(1000)).length));
  });

  it("hands on the first event while the stream goes on", async () => {
    const gateway = await startGateway();
    const opened = Promise.withResolvers<FakeStream>();
    gateway.backend.respond((_, reply) => opened.resolve(reply.sse()));
    const response = await gateway.chat({ stream: true });
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache",
      "x-accel-buffering": "no",
    });
    const next = reader(response);
    const stream = await opened.promise;
    await stream.push("one");
    expect(await next()).toBe("data: one\n\n");
    await stream.push("two");
    expect(await next()).toBe("data: two\n\n");
    stream.done();
    expect(await next()).toBe("data: [DONE]\n\n");
    expect(await next()).toBeUndefined();
  });

  it("does not touch bytes: split characters, carriage returns, a line of 10 MB", async () => {
    const gateway = await startGateway();
    const euro = Buffer.from("€");
    const parts = [
      Buffer.concat([Buffer.from("data: "), euro.subarray(0, 1)]),
      Buffer.concat([euro.subarray(1), Buffer.from("\r\n\r")]),
      Buffer.from("\ndata: x\r\r: odd\n"),
      Buffer.from(`data: ${"y".repeat(10 * 1024 * 1024)}`),
    ];
    gateway.backend.respond(async (_, reply) => {
      const stream = reply.sse();
      for (const part of parts) await stream.write(part);
      stream.end();
    });
    const response = await gateway.chat({ stream: true });
    expect(Buffer.concat(parts).equals(Buffer.from(await response.arrayBuffer()))).toBe(true);
  });

  it("drops interim answers and passes on the final one", async () => {
    const gateway = await startGateway();
    gateway.backend.respond((_, reply) => {
      reply.informational(103, { link: "</x>" });
      reply.json(200, { ok: true });
    });
    const response = await gateway.chat();
    expect([response.status, await response.json()]).toEqual([200, { ok: true }]);
    expect(response.headers.has("link")).toBe(false);
  });

  it("does not follow a redirect nor pass it on", async () => {
    const gateway = await startGateway();
    gateway.backend.respond((_, reply) => reply.redirect("http://169.254.169.254/"));
    const response = await gateway.chat({}, { redirect: "manual" });
    expect(response.status).toBe(502);
    expect(response.headers.get("x-aim-source")).toBe("gateway");
    expect(await response.json()).toMatchObject({ error: { code: "bad_gateway" } });
    expect(gateway.backend.requests).toHaveLength(1);
    expect(gateway.pool.leases[0]!.outcomes).toMatchObject([{ kind: "bad_answer" }]);
  });

  it("records one metric and one line per request, without prompts or keys", async () => {
    const gateway = await startGateway({ keys: [apiKey("canary-key")] });
    gateway.backend.respond((_, reply) => reply.json(200, { text: "canary-answer" }));
    const messages = [{ role: "user", content: "canary-prompt" }];
    const response = await gateway.chat({ messages }, { headers: { "x-api-key": "canary-key", "x-request-id": "r" } });
    await response.text();
    const [line] = await gateway.ended();
    expect(line).toMatchObject({
      requestId: "r",
      route: CHAT,
      model: MODEL,
      replica: "replica-1",
      status: 200,
      outcome: "completed",
      coldStart: false,
      bytes: '{"text":"canary-answer"}'.length,
    });
    expect(JSON.stringify(gateway.log)).not.toContain("canary");
    expect(await gateway.counter("aim_http_requests_total", { code: "200", model: MODEL, route: CHAT })).toBe(1);
    expect(gateway.log.filter(({ msg }) => msg === "request ended")).toHaveLength(1);
  });

  it("serves /v1/completions the same way", async () => {
    const gateway = await startGateway();
    const response = await fetch(new URL("/v1/completions", gateway.url), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: MODEL, prompt: "x" }),
    });
    expect(response.status).toBe(200);
    expect((await gateway.backend.nextRequest()).path).toBe("/v1/completions");
  });

  it("holds a fast backend back while the client does not read", async () => {
    const gateway = await startGateway();
    let sent = 0;
    const chunk = Buffer.alloc(64 * 1024, "x");
    const total = 64 * 1024 * 1024;
    gateway.backend.respond(async (_, reply) => {
      const stream = reply.sse();
      for (; sent < total; sent += chunk.length) await stream.write(chunk);
      stream.end();
    });
    const response = await gateway.chat({ stream: true });
    const seen: number[] = [];
    await until(() => sent > 0 && seen.push(sent) > 20 && seen.at(-20) === sent);
    expect(sent).toBeLessThan(total / 2);
    let received = 0;
    for await (const part of response.body!) received += part.length;
    expect(received).toBe(total);
  });
});
