import { describe, expect, it } from "vitest";
import { readHints, readKeepAlive, readMaxWait } from "../../src/gateway/hints.ts";
import { apiKey, MODEL, startGateway } from "./harness.ts";

const NOBODY = { client: undefined, keepAliveMs: undefined };

/** A request with these headers. */
function said(headers: Readonly<Record<string, string | undefined>>) {
  return { header: (name: string) => headers[name] };
}

function badValue(param: string) {
  return expect.objectContaining({ code: "invalid_value", status: 400, param });
}

describe("readKeepAlive", () => {
  it.each([
    ["5m", 300_000],
    ["1h30m", 5_400_000],
    ["500ms", 500],
    [300, 300_000],
    ["300", 300_000],
    [0.5, 500],
    [1e21, 1e24],
    [0, 0],
    ["0", 0],
    ["0s", 0],
    [-0, 0],
    ["-0", 0],
    [-1, Infinity],
    ["-1", Infinity],
    ["-1m", Infinity],
    [-1e9, Infinity],
    [1e308, Infinity],
    ["forever", Infinity],
  ])("takes %j as %d ms, as Ollama does", (value, ms) => {
    expect(readKeepAlive(value, "keep_alive")).toBe(ms);
  });

  it.each([undefined, null])("takes %j as not asked for", (value) => {
    expect(readKeepAlive(value, "keep_alive")).toBeUndefined();
  });

  it.each(["", " 5m", "5 m", "5m, 6m", "--5", "-forever", "soon", "1e", "Infinity", true, [5], {}])(
    "refuses %j by name",
    (value) => expect(() => readKeepAlive(value, "x-aim-keep-alive")).toThrow(badValue("x-aim-keep-alive")),
  );
});

describe("readMaxWait", () => {
  it.each([
    [undefined, Infinity],
    ["30s", 30_000],
    ["2.5", 2_500],
    ["0", 0],
    ["forever", Infinity],
  ])("takes %j as %d ms", (value, ms) => {
    expect(readMaxWait(said({ "x-aim-max-wait": value }))).toBe(ms);
  });

  it.each(["", "-1", "soon", "1s, 2s"])("refuses %j by name", (value) => {
    expect(() => readMaxWait(said({ "x-aim-max-wait": value }))).toThrow(badValue("x-aim-max-wait"));
  });
});

describe("readHints", () => {
  it("says nothing where nothing was asked for and nobody is known", () => {
    expect(readHints(said({}), NOBODY)).toEqual({});
  });

  it("lets anyone have any priority where there are no keys", () => {
    expect(readHints(said({ "x-aim-priority": "high" }), NOBODY)).toEqual({ priority: "high" });
  });

  it.each([
    ["high", undefined, "high"],
    ["normal", undefined, "normal"],
    ["normal", "normal", "normal"],
    ["high", "low", "low"],
    ["low", "low", "low"],
  ] as const)("gives a key of class %s that asks for %s the class %s", (own, asked, given) => {
    const client = apiKey("k", { priority: own });
    const headers = asked === undefined ? {} : { "x-aim-priority": asked };
    expect(readHints(said(headers), { client, keepAliveMs: undefined }).priority).toBe(given);
  });

  it.each([
    ["normal", "high"],
    ["low", "normal"],
  ] as const)("refuses a key of class %s that asks for %s", (own, asked) => {
    const client = apiKey("k", { priority: own });
    const ask = () => readHints(said({ "x-aim-priority": asked }), { client, keepAliveMs: undefined });
    expect(ask).toThrow(badValue("x-aim-priority"));
    expect(ask).toThrow(`"x-aim-priority" may not be "${asked}"`);
  });

  it.each(["", "HIGH", "urgent", "low, low"])("refuses %j as a priority", (value) => {
    expect(() => readHints(said({ "x-aim-priority": value }), NOBODY)).toThrow(badValue("x-aim-priority"));
  });

  it("lets the header for the keep-alive win over the body", () => {
    const body = { client: undefined, keepAliveMs: 1_000 };
    expect(readHints(said({}), body)).toEqual({ keepAliveMs: 1_000 });
    expect(readHints(said({ "x-aim-keep-alive": "0" }), body)).toEqual({ keepAliveMs: 0 });
  });
});

describe("a request with wishes", () => {
  const KEYS = [
    apiKey("key-of-ci", { name: "ci", weight: 2, priority: "low", mayStart: false }),
    apiKey("key-of-anna"),
  ];

  it("is acquired for with what its key and it say, and forwarded without", async () => {
    const { chat, pool, backend, ended } = await startGateway({ keys: KEYS });
    const headers = { authorization: "Bearer key-of-ci", "x-aim-keep-alive": "1m", "x-aim-max-wait": "5s" };
    expect((await chat({ keep_alive: "2h", seed: 1 }, { headers })).status).toBe(200);
    const sent = await backend.nextRequest();
    expect(sent.body.toString()).toBe(JSON.stringify({ model: MODEL, messages: [], seed: 1 }));
    expect(sent.rawHeaders.join().toLowerCase()).not.toContain("x-aim-");
    expect(pool.asked[0]!.hints).toMatchObject({
      client: "ci",
      weight: 2,
      priority: "low",
      mayStart: false,
      keepAliveMs: 60_000,
      bodyBytes: sent.body.length,
    });
    expect((await ended())[0]).toMatchObject({ client: "ci", priority: "low" });
  });

  it("is nobody's where there are no keys, and may do everything", async () => {
    const { chat, pool, ended } = await startGateway();
    await (await chat()).text();
    const { hints } = pool.asked[0]!;
    expect([hints.client, hints.weight, hints.priority, hints.mayStart]).toEqual(Array(4).fill(undefined));
    expect((await ended())[0]).not.toHaveProperty("client");
  });

  it.each([
    [{ "x-aim-priority": "high" }, {}, "x-aim-priority"],
    [{ "x-aim-keep-alive": "soon" }, {}, "x-aim-keep-alive"],
    [{ "x-aim-max-wait": "soon" }, {}, "x-aim-max-wait"],
    [{}, { keep_alive: "soon" }, "keep_alive"],
    [{ "x-aim-keep-alive": "5m" }, { keep_alive: "soon" }, "keep_alive"],
  ])("that is wrong is refused before it costs anything: %j %j", async (headers, body, param) => {
    const { chat, pool } = await startGateway({ keys: KEYS });
    const response = await chat(body, { headers: { authorization: "Bearer key-of-anna", ...headers } });
    expect([response.status, await response.json()]).toMatchObject([400, { error: { code: "invalid_value", param } }]);
    expect(pool.asked).toHaveLength(0);
  });
});
