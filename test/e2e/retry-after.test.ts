// What a client that cannot wait is told of when to come back, against when the model is really there.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Gateway, GatewayHome } from "../support/gateway-process.ts";
import { until } from "../support/until.ts";

const TIMES =
  process.env["REAL_TIMES"] === "1" ? { loadSeconds: 120, holdSeconds: 10 } : { loadSeconds: 8, holdSeconds: 1 };
const STARTS = 3;

const RECIPE = `
model: slow
engine: sim
runtime: process
env: { AIM_SIM_LOAD_SECONDS: "${TIMES.loadSeconds}" }
profiles: { 0_gpu: {} }
`;

describe("Retry-After", { timeout: (STARTS + 1) * (TIMES.loadSeconds + 10) * 1000 }, () => {
  let home: GatewayHome;
  let gateway: Gateway;

  beforeAll(async () => {
    home = await GatewayHome.make({ recipes: { slow: RECIPE }, config: `maxHold: ${TIMES.holdSeconds}s\n` });
    gateway = await home.start();
  });
  afterAll(async () => {
    expect(await gateway.stop()).toBe(0);
    await home.remove();
  });

  async function startAndStop(): Promise<void> {
    const text = await (await gateway.chat({ model: "slow", stream: true, max_tokens: 1 })).text();
    expect(text).toContain("[DONE]");
    await fetch(`${gateway.url}/api/replicas/slow`, { method: "DELETE" });
  }

  it("is within a quarter of the truth after three starts", async () => {
    for (let start = 0; start < STARTS; start++) await startAndStop();
    const response = await gateway.chat({ model: "slow" });
    const toldAt = performance.now();
    expect([response.status, await response.json()]).toMatchObject([503, { error: { code: "model_loading" } }]);
    const toldSeconds = Number(response.headers.get("retry-after"));
    const isReady = async () => (await gateway.replicas()).some(({ state }) => state === "ready");
    await until(isReady, { timeoutMs: (TIMES.loadSeconds + 10) * 1000, what: "the model" });
    const trueSeconds = (performance.now() - toldAt) / 1000;
    expect(Math.abs(toldSeconds - trueSeconds) / trueSeconds).toBeLessThan(0.25);
  });
});
