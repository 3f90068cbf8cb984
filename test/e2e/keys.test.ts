// What keys and requests may ask of the scheduler, through the whole of a real gateway.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Gateway, GatewayHome } from "../support/gateway-process.ts";
import { until } from "../support/until.ts";

const RECIPE = `
model: demo
engine: sim
runtime: process
env: { AIM_SIM_LOAD_SECONDS: "0.5" }
profiles: { 0_gpu: {} }
`;
const CONFIG = `
apiKeys:
  - key-of-the-owner
  - { key: key-of-the-guest, name: guest, mayStart: false, priority: low }
`;

describe("keys of different rights", { timeout: 60_000 }, () => {
  let home: GatewayHome;
  let gateway: Gateway;

  beforeAll(async () => {
    home = await GatewayHome.make({ recipes: { demo: RECIPE }, config: CONFIG });
    gateway = await home.start();
  });
  afterAll(async () => {
    expect(await gateway.stop()).toBe(0);
    await home.remove();
  });

  function ask(key: string, headers: Readonly<Record<string, string>> = {}, body: object = {}): Promise<Response> {
    return fetch(`${gateway.url}/v1/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json", ...headers },
      body: JSON.stringify({ model: "demo", prompt: "Once", max_tokens: 2, ...body }),
    });
  }

  async function replicas(): Promise<readonly object[]> {
    const headers = { authorization: "Bearer key-of-the-owner" };
    const response = await fetch(`${gateway.url}/api/replicas`, { headers });
    // The shape of the admin API is checked in its own tests.
    return ((await response.json()) as { replicas: readonly object[] }).replicas;
  }

  it("starts nothing for a key without that right, and serves it where another has started the model", async () => {
    const refused = await ask("key-of-the-guest");
    expect([refused.status, await refused.json()]).toMatchObject([503, { error: { code: "model_asleep" } }]);
    expect(refused.headers.get("x-should-retry")).toBe("false");
    expect(await replicas()).toEqual([]);
    expect((await ask("key-of-the-owner")).status).toBe(200);
    expect((await ask("key-of-the-guest")).status).toBe(200);
  });

  it("lets nobody launch, stop or pin without that right, and lets him look", async () => {
    const headers = { authorization: "Bearer key-of-the-guest", "content-type": "application/json" };
    const asGuest = (method: string, path: string, body?: string) =>
      fetch(`${gateway.url}${path}`, { method, headers, ...(body === undefined ? {} : { body }) });
    const refused = [
      await asGuest("POST", "/api/replicas", '{"model":"demo"}'),
      await asGuest("POST", "/api/replicas/demo-1/pin"),
      await asGuest("DELETE", "/api/replicas/demo"),
    ];
    expect(refused.map(({ status }) => status)).toEqual([403, 403, 403]);
    expect(await refused[0]?.json()).toMatchObject({ error: { code: "not_permitted", type: "permission_error" } });
    expect((await asGuest("GET", "/api/replicas")).status).toBe(200);
    expect(await replicas()).toHaveLength(1);
  });

  it("logs whose request it was, and no key", async () => {
    const clients = () => gateway.lines.filter(({ msg }) => msg === "request ended").map(({ client }) => client);
    await until(() => clients().length >= 3, { what: "the log lines" });
    expect(clients()).toEqual(["guest", "key-1", "guest"]);
    expect(JSON.stringify(gateway.lines)).not.toContain("key-of-the");
  });

  it("refuses a request that asks for a higher class than its key's", async () => {
    const response = await ask("key-of-the-guest", { "x-aim-priority": "normal" });
    expect([response.status, await response.json()]).toMatchObject([400, { error: { param: "x-aim-priority" } }]);
  });

  it("unloads a model at once where a request asks for that", async () => {
    expect((await ask("key-of-the-owner", {}, { keep_alive: 0 })).status).toBe(200);
    await until(async () => (await replicas()).length === 0, { what: "the unloading" });
  });

  it("starts a model for a request that would not wait, and tells it when to come back", async () => {
    const response = await ask("key-of-the-owner", { "x-aim-max-wait": "0" });
    expect([response.status, await response.json()]).toMatchObject([503, { error: { code: "model_loading" } }]);
    const seconds = Number(response.headers.get("retry-after"));
    expect(seconds).toBeGreaterThanOrEqual(1);
    expect(seconds).toBeLessThan(30);
    const isServed = async () => (await ask("key-of-the-owner", { "x-aim-max-wait": "0" })).status === 200;
    await until(isServed, { what: "the start" });
  });
});
