// A gateway with several threads, as its clients and its operators see it: like one with one thread, but for a thread that dies.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import OpenAI from "openai";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Gateway, GatewayHome } from "../support/gateway-process.ts";
import { until } from "../support/until.ts";

const recipe = (model: string, more = "") => `
model: ${model}
engine: sim
runtime: process
env: { AIM_SIM_LOAD_SECONDS: "0.3" }
profiles: { 0_gpu: {} }
${more}
`;
const RECIPES = {
  demo: recipe("demo"),
  narrow: recipe("narrow", "maxInFlight: 2"),
  brief: recipe("brief", "keepAlive: 1s"),
};
const KILLER = join(import.meta.dirname, "../fixtures/worker-killer.ts");
const MAIN = join(import.meta.dirname, "../../src/main.ts");
const LONG = 400;

describe("a gateway with two workers", { timeout: 60_000 }, () => {
  let home: GatewayHome;
  let gateway: Gateway;

  beforeEach(async () => {
    home = await GatewayHome.make({ recipes: RECIPES, config: "workers: 2\ndrainTimeout: 2s\nstopGrace: 5s\n" });
    gateway = await home.start({ preload: KILLER });
  });
  afterEach(async () => {
    expect(await gateway.stop()).toBe(0);
    await home.remove();
  });

  async function inFlight(model: string): Promise<number> {
    return (await gateway.replicas()).filter((one) => one.model === model).reduce((sum, one) => sum + one.inFlight, 0);
  }

  async function requestsServed(): Promise<number> {
    const text = await (await fetch(`${gateway.url}/metrics`)).text();
    const counts = [...text.matchAll(/^aim_http_requests_total\{.*\} (\d+)$/gm)].map(([, count]) => Number(count));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** Its text, and whether it came to its end. */
  async function stream(model: string, tokens: number): Promise<string> {
    try {
      return await (await gateway.chat({ model, stream: true, max_tokens: tokens })).text();
    } catch {
      return "cut";
    }
  }

  it("serves the openai SDK cold and warm, lists the models, and adds up what its threads count", async () => {
    const openai = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "unused" });
    const answers = Array.from({ length: 20 }, async () => {
      const messages = [{ role: "user" as const, content: "Hello" }];
      let said = "";
      const chunks = await openai.chat.completions.create({ model: "demo", messages, stream: true, max_tokens: 5 });
      for await (const chunk of chunks) said += chunk.choices[0]?.delta.content ?? "";
      return said;
    });
    expect(new Set(await Promise.all(answers)).size).toBe(1);
    expect((await openai.models.list()).data.map(({ id }) => id).sort()).toEqual(["brief", "demo", "narrow"]);
    await until(async () => (await requestsServed()) === 20, { what: "all requests counted" });
    expect(await requestsServed()).toBe(20);
    expect(gateway.lines.filter((line) => line["msg"] === "request ended").length).toBe(20);
    expect(gateway.noise).toEqual([]);
  });

  it("never goes over a replica's limit, serves all who wait, and counts down to nothing", async () => {
    await stream("narrow", 1);
    const answers = Promise.all(Array.from({ length: 12 }, () => stream("narrow", 40)));
    const seen: number[] = [];
    const all = answers.then((texts) => texts.every((text) => text.includes("[DONE]")));
    let done = false;
    void all.then(() => (done = true));
    await until(async () => {
      seen.push(await inFlight("narrow"));
      return done;
    });
    expect(await all).toBe(true);
    expect(Math.max(...seen)).toBe(2);
    expect(await inFlight("narrow")).toBe(0);
  });

  it("takes a model down after its keep-alive, and not before its last request is that long ago", async () => {
    await stream("brief", 1);
    for (let round = 0; round < 8; round++) {
      await stream("brief", 20);
      expect((await gateway.replicas()).map(({ model, state }) => [model, state])).toEqual([["brief", "ready"]]);
    }
    await until(async () => (await gateway.replicas()).length === 0, { what: "its unloading" });
    const starts = gateway.lines.filter((line) => line["msg"] === "replica process started");
    expect(starts.length).toBe(1);
  });

  it("streams what the main thread says, and ends that when the client leaves", async () => {
    const leaving = new AbortController();
    const response = await fetch(`${gateway.url}/api/events`, { signal: leaving.signal });
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    await stream("demo", 1);
    let text = "";
    while (!text.includes("replica:ready")) text += (await reader?.read())?.value ?? "";
    leaving.abort();
    expect((await fetch(`${gateway.url}/nowhere`)).status).toBe(404);
  });

  it("loses the streams of a worker that dies and nothing else, and starts another one", async () => {
    // The second half waits until the new replica takes more than it did at first.
    await Promise.all(Array.from({ length: 16 }, () => stream("demo", LONG)));
    const served = await requestsServed();
    const streams = Array.from({ length: 16 }, () => stream("demo", LONG));
    await until(async () => (await inFlight("demo")) === 16, { what: "all streams under way" });
    gateway.child.kill("SIGUSR2");
    const ends = await Promise.all(streams);
    const whole = ends.filter((text) => text.includes("[DONE]")).length;
    const cut = ends.filter((text) => text === "cut").length;
    expect([whole + cut, whole > 0, cut > 0]).toEqual([16, true, true]);
    await until(async () => (await inFlight("demo")) === 0, { what: "no request in flight" });
    await until(() => gateway.lines.find((line) => line["msg"] === "a worker was started again"));
    expect(gateway.lines).toContainEqual(
      expect.objectContaining({ level: "error", msg: "a worker died; its streams are cut" }),
    );
    const answers = await Promise.all(Array.from({ length: 16 }, () => stream("demo", 2)));
    expect(answers.every((text) => text.includes("[DONE]"))).toBe(true);
    expect(await requestsServed()).toBeGreaterThanOrEqual(served + whole);
  });

  it("lets streams finish when it ends", async () => {
    await stream("demo", 1);
    const streams = Array.from({ length: 6 }, () => stream("demo", 30));
    await until(async () => (await inFlight("demo")) === 6, { what: "all streams under way" });
    const ended = gateway.stop();
    expect((await Promise.all(streams)).every((text) => text.includes("[DONE]"))).toBe(true);
    expect(await ended).toBe(0);
  });

  it("leaves the port to whoever has it, be it another one with workers", async () => {
    const listen = gateway.url.replace("http://", "");
    const argv = [MAIN, "serve", "--config", join(home.folder, "engine.conf"), "--listen", listen];
    const second = spawn(process.execPath, argv, { stdio: ["ignore", "ignore", "pipe"], env: {} });
    let said = "";
    second.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
    expect((await once(second, "close"))[0]).not.toBe(0);
    expect(said).toContain("another program listens there already");
  });
});
