// The limits of a request, each by itself: connecting, the first byte, silence, and the whole; the recipe's before the settings'.
// `FULL=1` is silent for longer than five minutes, which is where HTTP libraries give up by themselves.
import { describe, expect, it } from "vitest";
import { sleep, systemClock } from "../../../src/lib/clock.ts";
import { FakeClock } from "../../support/clock.ts";
import { startFakeBackend, type FakeStream } from "../../support/fake-backend.ts";
import { until } from "../../support/until.ts";
import { startFrozenListener } from "../frozen-listener.ts";
import { SETTINGS, startGateway } from "../harness.ts";
import { endingOf, wireClient } from "./wire.ts";

const FULL = process.env["FULL"] === "1";
const SILENCE_MS = FULL ? 305_000 : 1_000;
const OWN = { connectTimeoutMs: 1_500, firstByteTimeoutMs: 20_000, idleTimeoutMs: 30_000, totalTimeoutMs: 40_000 };

describe("a model's own limits", () => {
  it("decide how long its replicas have to begin", async () => {
    const clock = new FakeClock();
    const gateway = await startGateway({ clock, timeouts: OWN });
    gateway.backend.respond(() => {});
    const answer = wireClient(gateway.url)();
    const request = await gateway.backend.nextRequest();
    await clock.advance(OWN.firstByteTimeoutMs - 1);
    expect(request.aborted).toBe(false);
    await clock.advance(1);
    expect((await answer).status).toBe(504);
    expect(await request.ended).toBe("aborted");
    expect(gateway.pool.leases[0]?.outcomes).toMatchObject([{ kind: "timeout" }]);
  });

  it("decide how long they may be silent within an answer", async () => {
    const clock = new FakeClock();
    const gateway = await startGateway({ clock, timeouts: OWN });
    const opened = Promise.withResolvers<FakeStream>();
    gateway.backend.respond((_, reply) => opened.resolve(reply.sse()));
    const answer = wireClient(gateway.url)({ stream: true });
    await (await opened.promise).push("one");
    await until(() => gateway.pool.leases[0]?.firstBytes === 1);
    await clock.advance(OWN.idleTimeoutMs - 1);
    expect(gateway.backend.requests[0]?.aborted).toBe(false);
    await clock.advance(1);
    const heard = await answer;
    expect([endingOf(heard), heard.text]).toEqual(["error event", expect.stringContaining("upstream_timeout")]);
  });

  it("end an answer that takes too long as a whole, however lively it is", async () => {
    const clock = new FakeClock();
    const gateway = await startGateway({ clock, timeouts: OWN });
    const opened = Promise.withResolvers<FakeStream>();
    gateway.backend.respond((_, reply) => opened.resolve(reply.sse()));
    const answer = wireClient(gateway.url)({ stream: true });
    const stream = await opened.promise;
    await stream.push("one");
    await until(() => gateway.pool.leases[0]?.firstBytes === 1);
    for (let at = 0; at < OWN.totalTimeoutMs; at += 4_000) {
      await stream.push("more");
      await clock.advance(4_000);
    }
    const heard = await answer;
    expect([endingOf(heard), heard.text]).toEqual(["error event", expect.stringContaining("upstream_timeout")]);
    expect(clock.pending).toBe(0);
  });

  it("leave the time of waiting for a replica out of the whole", async () => {
    const clock = new FakeClock();
    const gateway = await startGateway({ clock, timeouts: OWN, settings: { maxHoldMs: 1_000_000 } });
    gateway.pool.hold();
    const answer = wireClient(gateway.url)();
    await until(() => gateway.pool.asked.length === 1);
    await clock.advance(OWN.totalTimeoutMs + 1);
    gateway.pool.grant();
    expect((await answer).status).toBe(200);
  });

  it("decide how long to try to connect", async () => {
    const frozen = await startFrozenListener();
    const live = await startFakeBackend();
    const clock = new FakeClock();
    const gateway = await startGateway({ clock, timeouts: OWN, addresses: [frozen.address, live.address] });
    const answer = wireClient(gateway.url)();
    await until(() => gateway.pool.leases.length === 1);
    await clock.advance(OWN.connectTimeoutMs);
    const { status, headers } = await answer;
    expect([status, headers["x-aim-attempt"]]).toEqual([200, "2"]);
    await live.close();
  });
});

describe("the limits of a request", { timeout: SILENCE_MS + 20_000 }, () => {
  it("are all there are, however long a silence is", async () => {
    const settings = { firstByteTimeoutMs: Infinity, idleTimeoutMs: Infinity, upstreamIdleMs: 0.4 * SILENCE_MS };
    const gateway = await startGateway({ settings });
    gateway.backend.respond(async ({ headers }, reply) => {
      if (headers.accept === "late/head") await sleep(systemClock, SILENCE_MS);
      const stream = reply.sse();
      await stream.push(1);
      if (headers.accept === "late/rest") await sleep(systemClock, SILENCE_MS);
      stream.done();
    });
    const ask = wireClient(gateway.url);
    const heard = await Promise.all(["late/head", "late/rest"].map((accept) => ask({ headers: { accept } })));
    expect(heard.map(endingOf)).toEqual(["done", "done"]);
  });
});

describe("a model without limits of its own", () => {
  it("has those of the settings, and none for the whole", async () => {
    const clock = new FakeClock();
    const gateway = await startGateway({ clock });
    gateway.backend.respond(() => {});
    const answer = wireClient(gateway.url)();
    await gateway.backend.nextRequest();
    await clock.advance(SETTINGS.firstByteTimeoutMs);
    expect((await answer).status).toBe(504);
  });
});

describe("retries", () => {
  it("are not told of where there was none", async () => {
    const gateway = await startGateway();
    expect((await wireClient(gateway.url)()).headers["x-aim-attempt"]).toBeUndefined();
  });

  it("end when their budget is used up, and then a request fails at once", async () => {
    const dead = await startFakeBackend();
    await dead.close();
    const gateway = await startGateway({ clock: new FakeClock(), addresses: [dead.address] });
    const ask = wireClient(gateway.url);
    for (let request = 0; request < 150; request++) expect((await ask()).status).toBe(502);
    // 200 saved up, and one more for each five requests; two for each request as long as there are any.
    const retries = await gateway.counter("aim_retries_total", {});
    expect(retries).toBeGreaterThanOrEqual(200);
    expect(retries).toBeLessThanOrEqual(231);
  });
});
