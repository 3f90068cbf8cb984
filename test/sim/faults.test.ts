import { describe, expect, it } from "vitest";
import { until } from "../support/until.ts";
import { at, chat, eventsOf, startRig } from "./rig.ts";

const LONG = { max_tokens: 20, stream: true };

/** What of a stream arrived before it broke. */
async function receive(response: Response): Promise<{ readonly text: string; readonly broken: boolean }> {
  const decoder = new TextDecoder();
  let text = "";
  try {
    for await (const bytes of response.body ?? []) text += decoder.decode(bytes, { stream: true });
    return { text, broken: false };
  } catch {
    // The break is what the caller asks about.
    return { text, broken: true };
  }
}

/** Says how often something with a token came. */
function tokensIn(text: string): number {
  return eventsOf(text).filter((event) => Boolean(at(event.data, "choices.0.delta.content"))).length;
}

describe("hang", () => {
  it("accepts generations, stays healthy and never makes a step", async () => {
    await using rig = await startRig({ flags: ["--sim-hang"] });
    const leaving = new AbortController();
    const response = await rig.post("/v1/chat/completions", chat("x", LONG), { signal: leaving.signal });
    expect(response.status).toBe(200);
    expect((await fetch(`${rig.url}/health`)).status).toBe(200);
    expect(await rig.metric("vllm:num_requests_running")).toBe(1);
    expect(await rig.metric("vllm:iteration_tokens_total_count")).toBe(0);
    leaving.abort();
    await until(() => rig.log().includes("Aborted request"));
  });

  it("spares the first requests when told to", async () => {
    await using rig = await startRig({ flags: ["--sim-hang", "--sim-spare-requests=1"] });
    const warmUp = await rig.post("/v1/completions", { prompt: "x", max_tokens: 1 });
    expect(warmUp.status).toBe(200);
    const leaving = new AbortController();
    const pending = rig.post("/v1/completions", { prompt: "x" }, { signal: leaving.signal });
    await until(async () => (await rig.metric("vllm:num_requests_running")) === 1);
    leaving.abort();
    await expect(pending).rejects.toThrow();
  });
});

describe("stall-after-tokens", () => {
  it("says that many and then nothing", async () => {
    await using rig = await startRig({ flags: ["--sim-stall-after-tokens=3"] });
    const leaving = new AbortController();
    const response = await rig.post("/v1/chat/completions", chat("x", LONG), { signal: leaving.signal });
    await until(async () => (await rig.metric("vllm:generation_tokens_total")) === 3);
    expect(await rig.metric("vllm:num_requests_running")).toBe(1);
    leaving.abort();
    expect((await receive(response)).broken).toBe(true);
  });
});

describe("cut-after-tokens", () => {
  it("tears a stream after that many tokens", async () => {
    await using rig = await startRig({ flags: ["--sim-cut-after-tokens=3"] });
    const { text, broken } = await receive(await rig.post("/v1/chat/completions", chat("x", LONG)));
    expect(broken).toBe(true);
    expect(tokensIn(text)).toBe(3);
    expect(text).not.toContain("[DONE]");
    expect(await rig.metric("vllm:num_requests_running")).toBe(0);
  });

  it("tears a body in its middle", async () => {
    await using rig = await startRig({ flags: ["--sim-cut-after-tokens=3"] });
    const response = await rig.post("/v1/chat/completions", chat("x"));
    expect(response.status).toBe(200);
    expect((await receive(response)).broken).toBe(true);
  });

  it("does not touch a shorter answer", async () => {
    await using rig = await startRig({ flags: ["--sim-cut-after-tokens=3"] });
    const response = await rig.post("/v1/chat/completions", chat("x", { max_tokens: 3 }));
    expect(await response.json()).toMatchObject({ usage: { completion_tokens: 3 } });
  });
});

describe("error-after-tokens", () => {
  it("puts the error into a stream that began with 200, and then the mark", async () => {
    await using rig = await startRig({ flags: ["--sim-error-after-tokens=2"] });
    const response = await rig.post("/v1/chat/completions", chat("x", LONG));
    expect(response.status).toBe(200);
    const text = await response.text();
    expect(tokensIn(text)).toBe(2);
    expect(
      eventsOf(text)
        .slice(-2)
        .map((event) => event.data),
    ).toEqual([
      { error: { message: expect.any(String), type: "InternalServerError", param: null, code: 500 } },
      "[DONE]",
    ]);
  });

  it("is a 500 when nothing was sent yet", async () => {
    await using rig = await startRig({ flags: ["--sim-error-after-tokens=0"] });
    const response = await rig.post("/v1/completions", { prompt: "x" });
    expect(response.status).toBe(500);
    expect(await response.json()).toMatchObject({ error: { type: "InternalServerError", code: 500 } });
  });

  it("is a named event where streams have those", async () => {
    await using rig = await startRig({ flags: ["--sim-error-after-tokens=1"] });
    const input = { input: "x", stream: true };
    const response = eventsOf(await (await rig.post("/v1/responses", input)).text()).at(-1);
    expect(response).toMatchObject({ name: "error", data: { code: "InternalServerError" } });
    const turn = { messages: [{ role: "user", content: "x" }], max_tokens: 9, stream: true };
    const message = eventsOf(await (await rig.post("/v1/messages", turn)).text()).at(-1);
    expect(message).toMatchObject({ name: "error", data: { type: "error" } });
  });
});

describe("html and redirect", () => {
  it("replace the answers of inference alone", async () => {
    await using rig = await startRig({ flags: ["--sim-html=inference"] });
    const response = await rig.post("/v1/chat/completions", chat("x"));
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toMatch(/^text\/html/);
    expect((await fetch(`${rig.url}/v1/models`)).headers.get("content-type")).toBe("application/json");
  });

  it("replace every answer", async () => {
    await using rig = await startRig({ flags: ["--sim-redirect=all"] });
    for (const path of ["/health", "/v1/models"]) {
      const response = await fetch(rig.url + path, { redirect: "manual" });
      expect(response.status).toBe(302);
      expect(response.headers.get("location")).toBe("/elsewhere");
    }
  });
});

describe("bad-models", () => {
  it("serves another model", async () => {
    await using rig = await startRig({ flags: ["--sim-bad-models"] });
    expect(await (await fetch(`${rig.url}/v1/models`)).json()).toMatchObject({ data: [{ id: "another-model" }] });
    expect((await rig.post("/v1/chat/completions", chat("x"))).status).toBe(404);
  });
});

describe("/health", () => {
  it("comes late", async () => {
    await using rig = await startRig({ flags: ["--sim-health-ready-late=0.3"] });
    expect((await fetch(`${rig.url}/health`)).status).toBe(503);
    await until(async () => (await fetch(`${rig.url}/health`)).status === 200);
  });

  it("is slow", async () => {
    await using rig = await startRig({ flags: ["--sim-slow-health=0.3"] });
    const askedAt = performance.now();
    expect((await fetch(`${rig.url}/health`)).status).toBe(200);
    expect(performance.now() - askedAt).toBeGreaterThan(290);
  });
});

describe("child-oom", () => {
  it("leaves a server that is healthy and generates nothing", async () => {
    await using rig = await startRig({ flags: ["--sim-child-oom=0", "--sim-child-oom-mib=1"] });
    const leaving = new AbortController();
    const ask = () =>
      rig.post("/v1/completions", { prompt: "x", max_tokens: 5000, ignore_eos: true }, { signal: leaving.signal });
    const pending = ask().catch(() => undefined);
    await until(() => rig.log().includes("child was killed"));
    const said = await rig.metric("vllm:generation_tokens_total");
    expect((await fetch(`${rig.url}/health`)).status).toBe(200);
    expect(await rig.metric("vllm:num_requests_running")).toBe(1);
    expect(await rig.metric("vllm:generation_tokens_total")).toBe(said);
    leaving.abort();
    await pending;
  });

  it("takes its child along when it stops", async () => {
    const rig = await startRig({ flags: ["--sim-child-oom=0", "--sim-child-oom-mib=1"] });
    await rig.stop();
  });
});
