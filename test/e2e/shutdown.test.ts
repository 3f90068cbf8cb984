// How the real gateway ends: told to, told twice, and where it should not have been started at all.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { GatewayHome, type Gateway } from "../support/gateway-process.ts";
import { until } from "../support/until.ts";

const recipe = (model: string, knobs: string) => `
model: ${model}
engine: sim
runtime: process
env: { ${knobs} }
profiles: { 0_gpu: {} }
`;
const RECIPES = {
  quick: recipe("quick", 'AIM_SIM_LOAD_SECONDS: "0.1"'),
  slow: recipe("slow", 'AIM_SIM_LOAD_SECONDS: "60"'),
  stalling: recipe(
    "stalling",
    'AIM_SIM_LOAD_SECONDS: "0.1", AIM_SIM_STALL_AFTER_TOKENS: "3", AIM_SIM_SPARE_REQUESTS: "2"',
  ),
};
const MAIN = join(import.meta.dirname, "../../src/main.ts");

describe("a gateway that ends", { timeout: 60_000 }, () => {
  let home: GatewayHome;
  let gateway: Gateway;

  beforeEach(async () => {
    home = await GatewayHome.make({ recipes: RECIPES, config: "drainTimeout: 2s\nstopGrace: 5s\n" });
    gateway = await home.start();
  });
  afterEach(async () => {
    await gateway.stop();
    await home.remove();
  });

  async function startStalledStream(): Promise<Response> {
    // The first two are the engine's warm-up and this one.
    await (await gateway.chat({ model: "stalling", max_tokens: 1 })).text();
    return gateway.chat({ model: "stalling", stream: true });
  }

  it("tells those who wait for a model to come again, streamed or not", async () => {
    const waiting = [gateway.chat({ model: "slow" }), gateway.chat({ model: "slow", stream: true })];
    const everybodyWaits = async () =>
      (await gateway.models()).some((one) => one.model === "slow" && one.waiting === 2);
    await until(everybodyWaits, { what: "two waiters" });
    const ended = gateway.stop();
    const [plain, streamed] = await Promise.all(waiting.map(async (one) => (await one).text()));
    expect(plain).toContain('"code":"shutting_down"');
    expect(streamed).toContain('"code":"shutting_down"');
    expect(await ended).toBe(0);
  });

  it("ends a stream that takes longer than it may with an error event", async () => {
    const response = await startStalledStream();
    const ended = gateway.stop();
    const text = await response.text();
    expect(text.trimEnd().split("\n").at(-1)).toMatch(/^data: \{"error":\{.*"code":"shutting_down"\}\}$/);
    expect(await ended).toBe(0);
  });

  it("told twice, waits for nothing", async () => {
    const response = await startStalledStream();
    const reading = response.text().catch(() => "cut");
    gateway.child.kill("SIGTERM");
    await until(() => gateway.lines.some((line) => line["signal"] === "SIGTERM"), { what: "the first signal" });
    const toldAt = performance.now();
    expect(await gateway.stop()).toBe(130);
    expect(performance.now() - toldAt).toBeLessThan(1_000);
    expect(await reading).toBe("cut");
    // What it left behind goes with the next one.
    gateway = await home.start();
    await until(async () => (await gateway.replicas()).length === 1, { what: "the replica left behind" });
  });

  it("for want of its port, fails at once and leaves the replicas of the other gateway alone", async () => {
    await (await gateway.chat({ model: "quick", max_tokens: 1 })).text();
    const [replica] = await gateway.replicas();
    const args = ["serve", "--config", join(home.folder, "engine.conf"), "--listen", new URL(gateway.url).host];
    const second = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    second.stderr.on("data", (chunk) => (said += String(chunk)));
    await once(second, "close");
    // Which code it is, is the business of the command line.
    expect(second.exitCode).toBeGreaterThan(0);
    expect(said).toContain("another program listens there already");
    expect((await gateway.chat({ model: "quick", max_tokens: 1 })).status).toBe(200);
    expect(await gateway.replicas()).toMatchObject([{ backend: replica?.backend }]);
  });
});
