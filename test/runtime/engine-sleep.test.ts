import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { systemClock } from "../../src/lib/clock.ts";
import { createEngineSleep, type EngineSleep } from "../../src/runtime/engine-sleep.ts";
import { startRig, type Rig } from "../sim/rig.ts";
import { FakeClock } from "../support/clock.ts";
import { startFakeBackend, type FakeBackend, type FakeHandler } from "../support/fake-backend.ts";
import { until } from "../support/until.ts";

const never = new AbortController().signal;
let sleeping: EngineSleep;

beforeEach(() => {
  sleeping = createEngineSleep({ clock: systemClock });
});
afterEach(() => sleeping.close());

async function scripted(handler: FakeHandler): Promise<FakeBackend> {
  const backend = await startFakeBackend({ handler });
  onTestFinished(() => backend.close());
  return backend;
}

describe("an engine with sleep mode", () => {
  async function engine(seconds = "0.05"): Promise<Rig> {
    const env = { VLLM_SERVER_DEV_MODE: "1", AIM_SIM_SLEEP_SECONDS: seconds, AIM_SIM_WAKE_SECONDS: seconds };
    const rig = await startRig({ flags: ["--enable-sleep-mode"], env });
    onTestFinished(() => rig.stop());
    return rig;
  }

  it.each([1, 2] as const)("falls asleep at level %i, says so, and wakes to generate again", async (level) => {
    const rig = await engine();
    const address = new URL(rig.url);
    expect(await sleeping.isAsleep(address, never)).toBe(false);
    await sleeping.fallAsleep(address, level, never);
    expect(await sleeping.isAsleep(address, never)).toBe(true);
    expect(rig.log()).toContain(`asleep at level ${level}`);
    await sleeping.wakeUp(address, level, never);
    expect(await sleeping.isAsleep(address, never)).toBe(false);
    const answer = await rig.post("/v1/completions", { model: "test-model", prompt: "Hi", max_tokens: 1 });
    expect(answer.status).toBe(200);
  });

  it("is woken from level 1 as well in the order of level 2", async () => {
    const rig = await engine();
    await sleeping.fallAsleep(new URL(rig.url), 1, never);
    await sleeping.wakeUp(new URL(rig.url), 2, never);
    expect(await sleeping.isAsleep(new URL(rig.url), never)).toBe(false);
  });

  it("is let go of at once when the caller loses interest, however long it takes", async () => {
    const rig = await engine("60");
    const caller = new AbortController();
    const asleep = sleeping.fallAsleep(new URL(rig.url), 1, caller.signal);
    await until(async () => (await rig.metric("vllm:num_requests_running")) === 0);
    caller.abort(new Error("it is stopped"));
    await expect(asleep).rejects.toThrow("it is stopped");
  });
});

describe("the calls", () => {
  it("of level 2 load the weights between the two halves of the wake-up", async () => {
    const backend = await scripted((_, reply) => reply.json(200, { is_sleeping: false }));
    await sleeping.wakeUp(backend.address, 2, never);
    const calls = backend.requests.map(({ method, path, body }) => `${method} ${path} ${body.toString()}`);
    expect(calls).toEqual([
      "POST /wake_up?tags=weights {}",
      'POST /collective_rpc {"method":"reload_weights"}',
      "POST /wake_up?tags=kv_cache {}",
      "GET /is_sleeping ",
    ]);
  });

  it("go on until the engine says what they were for", async () => {
    let asked = 0;
    const backend = await scripted((request, reply) =>
      request.path === "/is_sleeping" ? reply.json(200, { is_sleeping: ++asked > 2 }) : reply.json(200, {}),
    );
    await sleeping.fallAsleep(backend.address, 1, never);
    expect(asked).toBe(3);
  });

  it("fail when it takes them and never says so", async () => {
    const clock = new FakeClock();
    const patient = createEngineSleep({ clock });
    onTestFinished(() => patient.close());
    const backend = await scripted((_, reply) => reply.json(200, { is_sleeping: false }));
    const asleep = patient.fallAsleep(backend.address, 1, never).catch((error: unknown) => error);
    await until(async () => {
      await clock.advance(1_000);
      return clock.now() > 70_000;
    });
    expect(await asleep).toMatchObject({ message: expect.stringContaining("still awake 60 s later") });
  });

  it("fail with what the engine answered, and with the remedy where it has no such mode", async () => {
    const backend = await scripted((_, reply) => reply.json(404, { detail: "Not Found" }));
    await expect(sleeping.fallAsleep(backend.address, 1, never)).rejects.toThrow(
      /\/sleep\?level=1 answered 404.*Not Found.*--enable-sleep-mode and VLLM_SERVER_DEV_MODE=1/,
    );
    backend.respond((_, reply) => reply.json(500, { error: "out of memory" }));
    await expect(sleeping.wakeUp(backend.address, 1, never)).rejects.toThrow(/\/wake_up answered 500: .*out of memory/);
  });

  it("fail after ten minutes without an answer", async () => {
    const clock = new FakeClock();
    const patient = createEngineSleep({ clock });
    onTestFinished(() => patient.close());
    const backend = await scripted(() => {});
    const asleep = patient.fallAsleep(backend.address, 1, never).catch((error: unknown) => error);
    await backend.nextRequest();
    await clock.advance(600_000);
    expect(await asleep).toMatchObject({ message: expect.stringContaining("did not answer within 600 s") });
  });
});

describe("whether it sleeps", () => {
  it.each([
    ["it has no such route", 404, { detail: "Not Found" }],
    ["its answer is about something else", 200, { status: "ok" }],
    ["it says that it does not", 200, { is_sleeping: false }],
  ])("is denied where %s", async (_, status, body) => {
    const backend = await scripted((__, reply) => reply.json(status, body));
    expect(await sleeping.isAsleep(backend.address, never)).toBe(false);
  });

  it("is not known where nobody answers", async () => {
    const backend = await scripted(() => {});
    await backend.close();
    await expect(sleeping.isAsleep(backend.address, never)).rejects.toThrow("/is_sleeping got no answer");
  });
});
