// What else is asked of a replica that was ready: a token, and what it has to do. Against the simulated engine.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/lib/clock.ts";
import { createReadinessProbe, type ReadinessProbe } from "../../src/runtime/readiness.ts";
import { chat, startRig } from "../sim/rig.ts";
import { FakeClock } from "../support/clock.ts";
import { startFakeBackend } from "../support/fake-backend.ts";
import { until } from "../support/until.ts";

const never = new AbortController().signal;
const READY = ["--sim-load-seconds=0"];

describe("a replica that was ready", () => {
  let probe: ReadinessProbe;

  beforeEach(() => {
    probe = createReadinessProbe({ clock: systemClock });
  });
  afterEach(() => probe.close());

  it("tells what it has to do, and its tokens rise as it works", async () => {
    await using sim = await startRig({ flags: READY });
    const address = new URL(sim.url);
    const before = await probe.load(address, never);
    expect(before).toMatchObject({ requests: 0, tokens: 0 });
    expect(await probe.generates(address, "test-model", never)).toBe(true);
    expect((await probe.load(address, never))?.tokens).toBeGreaterThan(0);
  });

  it("that hangs keeps its requests, and its tokens stand still", async () => {
    await using sim = await startRig({ flags: [...READY, "--sim-hang"] });
    const address = new URL(sim.url);
    const leaving = new AbortController();
    const request = sim.post("/v1/chat/completions", chat("hello"), { signal: leaving.signal }).catch(() => undefined);
    const seen = await until(async () => {
      const load = await probe.load(address, never);
      return load !== undefined && load.requests > 0 ? load : undefined;
    });
    expect(await probe.load(address, never)).toEqual(seen);
    leaving.abort();
    await request;
  });

  it("tells nothing where it has no such metrics, breaks off, or is gone", async () => {
    const backend = await startFakeBackend();
    backend.respondOnce((_request, reply) => reply.json(404, {}));
    backend.respondOnce((_request, reply) => reply.body(200, "process_cpu_seconds_total 1"));
    backend.respondOnce((_request, reply) => reply.cut());
    for (let count = 0; count < 3; count++) expect(await probe.load(backend.address, never)).toBeUndefined();
    await backend.close();
    expect(await probe.load(backend.address, never)).toBeUndefined();
  });

  it.each([
    ["a token", 200, true],
    ["a refusal", 400, true],
    ["that its engine is dead", 500, false],
    ["that it is not at work", 503, false],
  ])("that answers %s: %j means %j", async (_, status, expected) => {
    const backend = await startFakeBackend();
    backend.respond((_request, reply) => reply.json(status, {}));
    expect(await probe.generates(backend.address, "m", never)).toBe(expected);
    await backend.close();
  });

  it("that generates nothing by its nature is not held to it", async () => {
    const backend = await startFakeBackend();
    backend.respond((_request, reply) => reply.json(404, {}));
    expect(await probe.generates(backend.address, "m", never)).toBe(true);
    expect(backend.requests.map(({ path }) => path)).toEqual(["/v1/completions", "/v1/chat/completions"]);
    await backend.close();
  });

  it("that gives no token within half a minute does not generate", async () => {
    const clock = new FakeClock();
    const patient = createReadinessProbe({ clock });
    await using sim = await startRig({ flags: [...READY, "--sim-hang"] });
    const answer = patient.generates(new URL(sim.url), "test-model", never);
    await until(() => sim.log().includes("Received request"));
    await clock.advance(30_000);
    expect(await answer).toBe(false);
    await patient.close();
  });

  it("is not waited for when the gateway stops", async () => {
    await using sim = await startRig({ flags: [...READY, "--sim-hang"] });
    const stopping = new AbortController();
    const answer = probe.generates(new URL(sim.url), "test-model", stopping.signal);
    await until(() => sim.log().includes("Received request"));
    stopping.abort(new Error("stopping"));
    await expect(answer).rejects.toThrow("stopping");
  });
});
