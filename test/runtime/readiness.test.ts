import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Readiness } from "../../src/catalog/launch-spec.ts";
import { sleep, systemClock } from "../../src/lib/clock.ts";
import { awaitReady, createReadinessProbe, type ReadinessProbe } from "../../src/runtime/readiness.ts";
import { startFrozenListener } from "../gateway/frozen-listener.ts";
import { FakeClock } from "../support/clock.ts";
import { startFakeBackend, type FakeBackend, type FakeReply } from "../support/fake-backend.ts";
import { until } from "../support/until.ts";

const never = new AbortController().signal;
const COLD: Readiness = { servedModel: "org/model", warmUp: false, timeoutMs: 60_000 };
const WARM: Readiness = { ...COLD, warmUp: true };
const LIST = { object: "list", data: [{ id: "org/model", object: "model" }] };

type Routes = Readonly<Record<string, (reply: FakeReply) => void>>;

const HEALTHY: Routes = {
  "/health": (reply) => reply.body(200, ""),
  "/v1/models": (reply) => reply.json(200, LIST),
  "/v1/completions": (reply) => reply.json(200, { choices: [{ text: "!" }] }),
};

describe("the readiness probe", () => {
  let backend: FakeBackend;
  let probe: ReadinessProbe;

  beforeEach(async () => {
    backend = await startFakeBackend();
    probe = createReadinessProbe({ clock: systemClock });
    answer(HEALTHY);
  });
  afterEach(async () => {
    await probe.close();
    await backend.close();
  });

  function answer(routes: Routes): void {
    backend.respond((request, reply) => {
      const route = routes[request.path] ?? ((reply) => reply.json(404, { detail: "Not Found" }));
      route(reply);
    });
  }

  function ask(readiness = COLD) {
    return probe.isReady(backend.address, readiness, never);
  }

  function paths(): readonly string[] {
    return backend.requests.map((request) => request.path);
  }

  it("is content with health and the served name, each asked on a connection of its own", async () => {
    expect(await ask()).toEqual({ ready: true });
    expect(paths()).toEqual(["/health", "/v1/models"]);
    expect(backend.connections).toBe(2);
    expect(backend.requests.map((request) => request.headers.connection)).toEqual(["close", "close"]);
  });

  it("has one token generated where that is asked for", async () => {
    expect(await ask(WARM)).toEqual({ ready: true });
    expect(paths().at(-1)).toBe("/v1/completions");
    const body: unknown = JSON.parse(String(backend.requests.at(-1)?.body));
    expect(body).toMatchObject({ model: "org/model", max_tokens: 1 });
  });

  it("asks the chat route where there is no completions route", async () => {
    answer({
      ...HEALTHY,
      "/v1/completions": (reply) => reply.json(404, {}),
      "/v1/chat/completions": (reply) => reply.json(200, {}),
    });
    expect(await ask(WARM)).toEqual({ ready: true });
    expect(paths().at(-1)).toBe("/v1/chat/completions");
  });

  it("takes a server that generates no text (an embedding model) for ready", async () => {
    answer({ ...HEALTHY, "/v1/completions": (reply) => reply.json(404, {}) });
    expect(await ask(WARM)).toEqual({ ready: true });
  });

  it.each([
    ["llama.cpp's two lists", { models: [{ name: "org/model", model: "org/model" }], data: [] }],
    ["several names", { data: [{ id: "other" }, { id: "org/model" }] }],
    ["entries of unknown shape", { data: [null, "x", 1, { id: 7 }, { id: "org/model" }] }],
  ])("finds the model in %s", async (_, list) => {
    answer({ ...HEALTHY, "/v1/models": (reply) => reply.json(200, list) });
    expect(await ask()).toEqual({ ready: true });
  });

  it.each([
    ["/health", 503, "engine is dead", "/health answered 503: engine is dead"],
    ["/health", 404, "", "/health answered 404"],
    ["/v1/models", 500, "<html>\n  oh </html>", "/v1/models answered 500: <html> oh </html>"],
    ["/v1/completions", 429, "busy", "/v1/completions answered 429: busy"],
  ])("asks again when %s answers %i", async (path, status, body, reason) => {
    answer({ ...HEALTHY, [path]: (reply) => reply.body(status, body) });
    expect(await ask(WARM)).toEqual({ ready: false, reason });
  });

  it.each([
    ["/health", 401, "Unauthorized"],
    ["/v1/completions", 400, "no such parameter"],
  ])("gives up when %s answers %i", async (path, status, body) => {
    answer({ ...HEALTHY, [path]: (reply) => reply.body(status, body) });
    expect(await ask(WARM)).toEqual({
      ready: false,
      reason: `${path} answered ${status}: ${body}`,
      final: true,
    });
  });

  it("names what is served instead, since waiting will not change that", async () => {
    answer({ ...HEALTHY, "/v1/models": (reply) => reply.json(200, { data: [{ id: "a" }, { id: "b" }] }) });
    expect(await ask()).toEqual({ ready: false, reason: "it serves a, b, not org/model", final: true });
  });

  it.each([
    ["an empty list", '{"data":[]}', "it serves no model yet, not org/model"],
    ["no list", '{"data":1}', "GET /v1/models answered no list of models"],
    ["no JSON", "<html>", "GET /v1/models answered no list of models"],
    ["null", "null", "GET /v1/models answered no list of models"],
  ])("asks again when the models are %s", async (_, body, reason) => {
    answer({ ...HEALTHY, "/v1/models": (reply) => reply.body(200, body) });
    expect(await ask()).toEqual({ ready: false, reason });
  });

  it("never follows a redirect", async () => {
    const elsewhere = await startFakeBackend();
    answer({ "/health": (reply) => reply.redirect(elsewhere.address.href) });
    expect(await ask()).toMatchObject({ ready: false, final: true });
    expect(elsewhere.requests).toEqual([]);
    await elsewhere.close();
  });

  it("reads no more of an answer than a list of models can need", async () => {
    let sent = 0;
    backend.respond(async (request, reply) => {
      if (request.path === "/health") return reply.body(200, "");
      const stream = reply.stream(200);
      const chunk = Buffer.alloc(64 * 1024, "x");
      while (await stream.write(chunk)) sent += chunk.length;
    });
    expect(await ask()).toMatchObject({ ready: false });
    expect(sent).toBeLessThan(64 * 1024 * 1024);
  });

  it.each([
    ["cut", (reply: FakeReply) => reply.cut()],
    ["reset", (reply: FakeReply) => reply.reset()],
    ["answered with garbage", (reply: FakeReply) => (reply.raw("SSH-2.0-x\r\n"), reply.cut())],
    [
      "answered by half",
      (reply: FakeReply) => (reply.raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"), reply.cut()),
    ],
  ])("takes a connection that is %s for loading", async (_, how) => {
    answer({ "/health": how });
    expect(await ask()).toMatchObject({ ready: false, reason: expect.stringMatching(/^still loading: ./) });
    expect(await ask()).not.toHaveProperty("final");
  });

  it("takes a port where nobody listens for loading", async () => {
    await backend.close();
    expect(await ask()).toEqual({ ready: false, reason: "still loading: it does not listen yet" });
  });

  it("does not wait for ever for an answer", async () => {
    const clock = new FakeClock();
    const patient = createReadinessProbe({ clock });
    answer({ "/health": () => {} });
    const asked = patient.isReady(backend.address, COLD, never);
    const request = await backend.nextRequest();
    await clock.advance(10_000);
    expect(await asked).toEqual({ ready: false, reason: "/health did not answer within 10 s" });
    expect(await request.ended).toBe("aborted");
    expect(clock.pending).toBe(0);
    await patient.close();
  });

  it("is more patient with the first token, which may need kernels compiled", async () => {
    const clock = new FakeClock();
    const patient = createReadinessProbe({ clock });
    answer({ ...HEALTHY, "/v1/completions": () => {} });
    const asked = patient.isReady(backend.address, WARM, never);
    await until(() => paths().includes("/v1/completions"));
    await clock.advance(59_000);
    expect(backend.requests.at(-1)?.aborted).toBe(false);
    await clock.advance(1000);
    expect(await asked).toEqual({ ready: false, reason: "/v1/completions did not answer within 60 s" });
    await patient.close();
  });

  it("rejects with the signal's reason when that aborts, and hangs up", async () => {
    answer({ "/health": () => {} });
    const abort = new AbortController();
    const asked = probe.isReady(backend.address, COLD, abort.signal);
    const request = await backend.nextRequest();
    abort.abort(new Error("no longer wanted"));
    await expect(asked).rejects.toThrow("no longer wanted");
    expect(await request.ended).toBe("aborted");
  });

  it("rejects at once although the dial goes on, as to a container that is just gone", async () => {
    const frozen = await startFrozenListener();
    const abort = new AbortController();
    const asked = probe.isReady(frozen.address, COLD, abort.signal);
    const abortedAt = performance.now();
    abort.abort(new Error("no longer wanted"));
    await expect(asked).rejects.toThrow("no longer wanted");
    expect(performance.now() - abortedAt).toBeLessThan(1_000);
  });

  describe("awaited", () => {
    function askOnAndOn(readiness: Readiness, signal = never) {
      const reasons: string[] = [];
      const onNotReady = (reason: string) => reasons.push(reason);
      const pause = (pausing: AbortSignal) => sleep(systemClock, 5, pausing);
      const result = awaitReady(probe, { address: backend.address, readiness, pause, onNotReady }, signal);
      return { result, reasons };
    }

    it("asks until the replica is ready, telling each time why it is not", async () => {
      backend.respondOnce((_request, reply) => reply.cut());
      backend.respondOnce((_request, reply) => reply.body(503, ""));
      const { result, reasons } = askOnAndOn(COLD);
      await result;
      expect(reasons).toEqual([expect.stringMatching(/^still loading/), "/health answered 503"]);
    });

    it("asks one question at a time, however slow the answers are", async () => {
      let open = 0;
      let most = 0;
      backend.respond(async ({ path, ended }, reply) => {
        most = Math.max(most, ++open);
        void ended.then(() => (open -= 1));
        await sleep(systemClock, 30);
        if (path === "/health" && backend.requests.length > 3) HEALTHY[path]?.(reply);
        else if (path === "/v1/models") reply.json(200, LIST);
        else reply.body(503, "");
      });
      await askOnAndOn(COLD).result;
      expect([backend.requests.length, most]).toEqual([5, 1]);
    });

    it("gives up when it will never be ready, and says why", async () => {
      answer({ ...HEALTHY, "/v1/models": (reply) => reply.json(200, { data: [{ id: "a" }] }) });
      const { result } = askOnAndOn(COLD);
      await expect(result).rejects.toMatchObject({
        code: "runtime_failed",
        message: "the replica cannot serve: it serves a, not org/model",
      });
      expect(paths()).toEqual(["/health", "/v1/models"]);
    });

    it("ends with the signal's reason between two questions", async () => {
      await backend.close();
      const abort = new AbortController();
      const { result, reasons } = askOnAndOn(COLD, abort.signal);
      await until(() => reasons.length > 0);
      abort.abort(new Error("no longer wanted"));
      await expect(result).rejects.toThrow("no longer wanted");
    });
  });
});
