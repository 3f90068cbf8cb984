// A real engine that hangs: its /health says 200 for ever, and its tokens stand still. It is found by them, and replaced.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { GatewayHome, type Gateway } from "../support/gateway-process.ts";
import { until } from "../support/until.ts";

/** Gives one token, which is what a start asks for, and then none. */
const HANGING = `
model: hanging
engine: sim
runtime: process
env: { AIM_SIM_LOAD_SECONDS: "0.1", AIM_SIM_HANG: "1", AIM_SIM_SPARE_REQUESTS: "1" }
profiles: { 0_gpu: {} }
`;

describe("an engine that hangs while it calls itself healthy", { timeout: 120_000 }, () => {
  let home: GatewayHome;
  let gateway: Gateway;

  beforeAll(async () => {
    home = await GatewayHome.make({ recipes: { hanging: HANGING }, config: "timeouts: { progress: 1s }\n" });
    gateway = await home.start();
  });
  afterAll(async () => {
    await gateway.stop();
    await home.remove();
  });

  it("is taken out and replaced, and its requests are told", async () => {
    const asked = gateway.chat({ model: "hanging", stream: true }).then((answer) => answer.text());
    const first = await until(async () => (await gateway.replicas()).find(({ state }) => state === "ready"), {
      timeoutMs: 20_000,
    });
    expect((await fetch(new URL("/health", first.address))).status).toBe(200);
    const text = await asked;
    expect(text).toContain('"error":');
    expect(text).not.toContain("[DONE]");
    const failed = gateway.lines.find(({ msg }) => msg === "replica failed");
    expect(failed).toMatchObject({ replica: first.name, cause: "stalled" });

    const again = new AbortController();
    const next = gateway.chat({ model: "hanging", stream: true }, { signal: again.signal }).catch(() => undefined);
    const isNew = async () =>
      (await gateway.replicas()).some(({ backend, state }) => state === "ready" && backend !== first.backend);
    await until(isNew, { timeoutMs: 30_000, what: "another replica" });
    again.abort();
    await next;
  });
});
