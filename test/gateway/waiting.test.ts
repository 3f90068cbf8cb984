import { describe, expect, it } from "vitest";
import { AimError } from "../../src/errors.ts";
import { FakeClock } from "../support/clock.ts";
import { type FakeStream, startFakeBackend } from "../support/fake-backend.ts";
import { until } from "../support/until.ts";
import { MODEL, SETTINGS, startGateway } from "./harness.ts";

const TIMES = {
  firstHeartbeatMs: 1_000,
  heartbeatMs: 10_000,
  progressMs: 2_000,
  maxHoldMs: 60_000,
  maxStreamHoldMs: 600_000,
  firstByteTimeoutMs: 100_000,
  idleTimeoutMs: 90_000,
};

/** A gateway on virtual time whose pool keeps every request waiting. */
async function startWaiting() {
  const clock = new FakeClock();
  const gateway = await startGateway({ clock, settings: TIMES });
  gateway.pool.hold();
  return { clock, ...gateway };
}

function reader(response: Response) {
  const parts = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  return async () => (await parts.read()).value;
}

describe("a stream that waits", () => {
  it("begins within a second, is told what it waits for, and soon when that changes", async () => {
    const { chat, pool, clock } = await startWaiting();
    const pending = chat({ stream: true });
    await until(() => pool.asked.length === 1);
    await clock.advance(1_000);
    const response = await pending;
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache",
      "x-accel-buffering": "no",
      "x-aim-cold-start": "1",
      "x-aim-model": MODEL,
    });
    const next = reader(response);
    expect(await next()).toBe(": loading weights 62%, about 40 s left\n\n");
    pool.doing = "compiling\r\ndata: injected\u2028";
    await clock.advance(2_000);
    expect(await next()).toBe(": compiling data: injected \n\n");
    pool.grant();
    expect(await next()).toBe(": x-aim-replica: replica-1, x-aim-queue-ms: 3000\n\n");
    expect(await next()).toContain('data: {"error"');
  });

  it("behind a busy replica is not told that it waits for a start", async () => {
    const { chat, pool, clock } = await startWaiting();
    pool.cold = false;
    const pending = chat({ stream: true });
    await until(() => pool.asked.length === 1);
    await clock.advance(1_000);
    const response = await pending;
    expect(response.headers.get("x-aim-cold-start")).toBeNull();
    pool.grant();
    await response.text();
  });

  it("hears something at least every ten seconds although nothing changes, and no more than that", async () => {
    const { chat, pool, clock } = await startWaiting();
    const pending = chat({ stream: true });
    await until(() => pool.asked.length === 1);
    await clock.advance(1_000);
    const response = await pending;
    for (let second = 0; second < 29; second++) await clock.advance(1_000);
    pool.grant();
    const text = await response.text();
    expect(text.split("\n").filter((line) => line.startsWith(": loading"))).toHaveLength(3);
  });

  it("gets the backend's events after the comments, and nothing between them", async () => {
    const { chat, pool, clock, backend, ended } = await startWaiting();
    const opened = Promise.withResolvers<FakeStream>();
    backend.respond((_, reply) => opened.resolve(reply.sse()));
    const pending = chat({ stream: true });
    await until(() => pool.asked.length === 1);
    await clock.advance(1_000);
    const next = reader(await pending);
    await next();
    pool.grant();
    await next();
    const stream = await opened.promise;
    await clock.advance(10_000);
    expect(await next()).toBe(": waiting for the first token\n\n");
    await stream.push("one");
    expect(await next()).toBe("data: one\n\n");
    await clock.advance(10_000);
    stream.done();
    expect(await next()).toBe("data: [DONE]\n\n");
    expect(await next()).toBeUndefined();
    const [line] = await ended();
    expect(line).toMatchObject({ status: 200, coldStart: true, queueMs: 1000, outcome: "completed" });
    expect(clock.pending).toBe(0);
  });

  it("asks the backend for plain text, since its own beginning was plain", async () => {
    const { chat, pool, backend } = await startWaiting();
    const pending = chat({ stream: true }, { headers: { "accept-encoding": "gzip" } });
    await until(() => pool.asked.length === 1);
    pool.grant();
    await (await pending).text();
    expect((await backend.nextRequest()).headers["accept-encoding"]).toBe("identity");
  });

  it("that is served within the second gets an answer like any other", async () => {
    const { chat, pool, clock, backend } = await startWaiting();
    backend.respond((_, reply) => reply.json(400, { error: { message: "no" } }));
    const pending = chat({ stream: true });
    await until(() => pool.asked.length === 1);
    await clock.advance(999);
    pool.grant();
    const response = await pending;
    expect([response.status, await response.json()]).toEqual([400, { error: { message: "no" } }]);
    expect(response.headers.get("x-aim-cold-start")).toBe("1");
    expect(response.headers.get("x-aim-queue-ms")).toBe("999");
    expect(clock.pending).toBe(0);
  });

  it("is told of a backend's error that says nothing at all", async () => {
    const { chat, pool, clock, backend, ended } = await startWaiting();
    backend.respond((_, reply) => reply.body(503, "", { "content-type": "application/json" }));
    const pending = chat({ stream: true });
    await until(() => pool.asked.length === 1);
    await clock.advance(1_000);
    const response = await pending;
    pool.grant();
    expect(await response.text()).toContain('"message":"the backend answered with status 503"');
    await ended();
  });

  it.each([
    [
      { error: { message: "too long", type: "BadRequestError", code: 400 } },
      { message: "too long", type: "BadRequestError", param: null, code: 400 },
    ],
    [
      { object: "error", message: "old", code: 7 },
      { message: "old", type: null, param: null, code: 7 },
    ],
    [
      { error: "Unauthorized" },
      { message: "the backend answered with status 400", type: "server_error", param: null, code: 400 },
    ],
    ["<html>", { message: "the backend answered with status 400", type: "server_error", param: null, code: 400 }],
    [null, { message: "the backend answered with status 400", type: "server_error", param: null, code: 400 }],
  ])("is told a backend's error %j within the stream", async (said, shown) => {
    const { chat, pool, clock, backend, ended } = await startWaiting();
    backend.respond((_, reply) => reply.json(400, said));
    const pending = chat({ stream: true });
    await until(() => pool.asked.length === 1);
    await clock.advance(1_000);
    const response = await pending;
    pool.grant();
    const text = await response.text();
    expect(JSON.parse(text.slice(text.indexOf("data: ") + 6))).toEqual({ error: shown });
    expect(text).not.toContain("[DONE]");
    expect(pool.leases[0]!.outcomes).toEqual([{ kind: "completed" }]);
    expect((await ended())[0]).toMatchObject({ status: 400 });
  });

  it("is told when the start fails", async () => {
    const { chat, pool, clock } = await startWaiting();
    const pending = chat({ stream: true });
    await until(() => pool.asked.length === 1);
    await clock.advance(1_000);
    const response = await pending;
    pool.refuse(new AimError("model_start_failed", "out of GPU memory", { data: { log: "canary" } }));
    const text = await response.text();
    expect(text).toContain('data: {"error":{"message":"out of GPU memory","type":"service_unavailable_error"');
    expect(text).not.toMatch(/\[DONE\]|canary/);
  });

  it.each([
    ["queue_full", "too many wait"],
    ["model_asleep", "nobody may start it"],
    ["replica_stopped", "an operator stopped it"],
    ["no_capacity", "all GPUs are in use"],
  ] as const)("that is refused late with %s gets one error, at its very end", async (code, message) => {
    const { chat, pool, clock, ended } = await startWaiting();
    const pending = chat({ stream: true });
    await until(() => pool.asked.length === 1);
    await clock.advance(1_000);
    const response = await pending;
    await clock.advance(30_000);
    pool.refuse(new AimError(code, message, { retryAfterMs: 5_000 }));
    const text = await response.text();
    const events = text.split("\n\n").filter((part) => !part.startsWith(":") && part !== "");
    expect(events).toHaveLength(1);
    expect(JSON.parse(events[0]!.trim().slice("data: ".length))).toMatchObject({ error: { code, message } });
    expect(text.trimEnd().endsWith(events[0]!.trim())).toBe(true);
    expect((await ended())[0]).toMatchObject({ outcome: code, phase: "queued" });
    expect(clock.pending).toBe(0);
  });

  it.each([
    ["queue_full", 429, "true", "5"],
    ["model_asleep", 503, "false", null],
  ] as const)("that is refused with %s before it began gets status %d", async (code, status, again, after) => {
    const { chat, pool } = await startWaiting();
    const pending = chat({ stream: true });
    await until(() => pool.asked.length === 1);
    pool.refuse(new AimError(code, "no", { retryAfterMs: 4_200 }));
    const response = await pending;
    expect(response.status).toBe(status);
    expect(response.headers.get("x-should-retry")).toBe(again);
    expect(response.headers.get("retry-after")).toBe(after);
    expect(await response.json()).toMatchObject({ error: { message: "no", param: null, code } });
  });

  it("ends when it has waited for as long as streams may", async () => {
    const { chat, pool, clock } = await startWaiting();
    const pending = chat({ stream: true });
    await until(() => pool.asked.length === 1);
    await clock.advance(1_000);
    const text = (await pending).text();
    await clock.advance(TIMES.maxStreamHoldMs);
    const comments = (await text).split("\n\n").filter((part) => part.startsWith(":"));
    expect(comments.length).toBeGreaterThanOrEqual(59);
    expect(await text).toContain('"code":"model_loading"');
    expect(pool.asked[0]!.signal!.aborted).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it("goes on waiting when the replica it got turns out to be unreachable", async () => {
    const dead = await startFakeBackend();
    await dead.close();
    const live = await startFakeBackend({ handler: (_, reply) => reply.sse().done() });
    const clock = new FakeClock();
    const gateway = await startGateway({ clock, settings: TIMES, addresses: [dead.address, live.address] });
    gateway.pool.hold();
    const pending = gateway.chat({ stream: true });
    await until(() => gateway.pool.asked.length === 1);
    await clock.advance(1_000);
    const response = await pending;
    gateway.pool.grant();
    expect(await response.text()).toMatch(/replica-2.*\n\ndata: \[DONE\]\n\n$/s);
    await live.close();
  });

  it("ends with a refusal of its backend that has no end itself", async () => {
    const { chat, pool, clock, backend } = await startWaiting();
    backend.respond((_, reply) => void reply.stream(503).push("x".repeat(70_000)));
    const pending = chat({ stream: true });
    await until(() => pool.asked.length === 1);
    await clock.advance(1_000);
    const response = await pending;
    pool.grant();
    expect(await response.text()).toMatch(/\ndata: \{"error":[^\n]*\n\n$/);
    expect(await (await backend.nextRequest()).ended).toBe("aborted");
  });
});

describe("a request that is not streamed", () => {
  it("is held in silence until its replica is there", async () => {
    const { chat, pool, clock } = await startWaiting();
    const pending = chat();
    await until(() => pool.asked.length === 1);
    await clock.advance(59_000);
    pool.grant();
    const response = await pending;
    expect(response.status).toBe(200);
    expect(response.headers.get("x-aim-queue-ms")).toBe("59000");
    expect(response.headers.get("x-aim-cold-start")).toBe("1");
  });

  it("is told when to come back once it was held for as long as allowed", async () => {
    const { chat, pool, clock, counter } = await startWaiting();
    const pending = chat();
    await until(() => pool.asked.length === 1);
    await clock.advance(TIMES.maxHoldMs);
    const response = await pending;
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({
      error: { code: "model_loading", message: expect.stringContaining("loading weights 62%") },
    });
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "retry-after": "40",
      "retry-after-ms": "40000",
      "x-should-retry": "true",
      "x-aim-source": "gateway",
      "x-aim-queue-ms": "60000",
    });
    expect(await counter("aim_rejections_total", { reason: "model_loading" })).toBe(1);
    expect(clock.pending).toBe(0);
  });

  it("is refused at once when the pool refuses at once", async () => {
    const { chat, pool } = await startWaiting();
    const pending = chat();
    await until(() => pool.asked.length === 1);
    pool.refuse(new AimError("queue_full", "too many wait", { retryAfterMs: 5_000 }));
    const response = await pending;
    expect([response.status, response.headers.get("retry-after")]).toEqual([429, "5"]);
  });

  it("that the queue has no place for is not told to come back when all the others do", async () => {
    const { chat, pool } = await startGateway({ chance: 0.5 });
    pool.hold();
    const pending = chat();
    await until(() => pool.asked.length === 1);
    pool.refuse(new AimError("queue_full", "too many wait", { retryAfterMs: 8_000 }));
    expect((await pending).headers.get("retry-after")).toBe("10");
  });

  it.each([
    [true, "cold"],
    [false, "warm"],
  ])("counts as one that waited for a start, or not, also when it got nothing (cold: %s)", async (cold, start) => {
    const { chat, pool, counter } = await startWaiting();
    pool.cold = cold;
    const pending = chat();
    await until(() => pool.asked.length === 1);
    pool.refuse(new AimError("no_capacity", "no room"));
    await pending;
    expect(await counter("aim_queue_wait_seconds", { start, le: "+Inf" })).toBe(1);
  });

  it("that may start nothing is no reason to warn anybody", async () => {
    const { chat, pool, ended } = await startWaiting();
    const pending = chat();
    await until(() => pool.asked.length === 1);
    pool.refuse(new AimError("model_asleep", "it sleeps"));
    await pending;
    expect((await ended())[0]).toMatchObject({ outcome: "model_asleep", level: 30 });
  });
});

describe("a request that says how long it would wait", () => {
  it.each([
    [{ "x-aim-max-wait": "5s" }, 5_000],
    [{ "x-aim-max-wait": "2" }, 2_000],
    [{ "x-aim-max-wait": "1h" }, TIMES.maxHoldMs],
    [{ "x-aim-max-wait": "forever" }, TIMES.maxHoldMs],
  ])("with %j is told when to come back after %d ms", async (headers, ms) => {
    const { chat, pool, clock } = await startWaiting();
    const pending = chat({}, { headers });
    await until(() => pool.asked.length === 1);
    await clock.advance(ms - 1);
    expect(pool.asked[0]!.signal!.aborted).toBe(false);
    await clock.advance(1);
    const response = await pending;
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "40"]);
    expect(response.headers.get("x-aim-queue-ms")).toBe(String(ms));
  });

  it.each([true, false])("and would not wait at all is refused at once (stream: %s)", async (stream) => {
    const { chat, pool, clock } = await startWaiting();
    const pending = chat({ stream }, { headers: { "x-aim-max-wait": "0" } });
    await until(() => pool.asked.length === 1);
    await clock.advance(0);
    const response = await pending;
    expect(Object.fromEntries(response.headers)).toMatchObject({ "retry-after": "40", "x-should-retry": "true" });
    expect([response.status, await response.json()]).toMatchObject([503, { error: { code: "model_loading" } }]);
    expect(clock.pending).toBe(0);
  });

  it("has the wait of a stream ended by one error", async () => {
    const { chat, pool, clock } = await startWaiting();
    const pending = chat({ stream: true }, { headers: { "x-aim-max-wait": "20s" } });
    await until(() => pool.asked.length === 1);
    await clock.advance(1_000);
    const text = (await pending).text();
    await clock.advance(19_000);
    expect((await text).match(/^data: /gm)).toHaveLength(1);
    expect(await text).toContain('"code":"model_loading"');
  });

  it("and would not wait at all is served where a replica is ready", async () => {
    const { chat } = await startGateway();
    expect((await chat({}, { headers: { "x-aim-max-wait": "0" } })).status).toBe(200);
  });
});

describe("a request whose replica is ready", () => {
  it("starts no timer of the waiting protocol", async () => {
    const clock = new FakeClock();
    const delays: number[] = [];
    const setTimer = clock.setTimer.bind(clock);
    clock.setTimer = (delayMs, callback) => {
      delays.push(delayMs);
      return setTimer(delayMs, callback);
    };
    const gateway = await startGateway({ clock, settings: TIMES });
    await (await gateway.chat()).text();
    // The one that looks after all answers, and the one of the dial.
    expect(delays).toEqual([1_000, SETTINGS.connectTimeoutMs]);
  });
});
