// A load that takes longer than anything between client and gateway bears silence. Here it is short; with REAL_TIMES=1 it is
// two minutes behind a proxy that cuts after one.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import OpenAI, { APIConnectionError } from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Gateway, GatewayHome } from "../support/gateway-process.ts";
import { type SilenceProxy, startSilenceProxy } from "../support/silence-proxy.ts";

/** The gateway speaks at least every ten seconds. */
const TIMES =
  process.env["REAL_TIMES"] === "1" ? { loadSeconds: 120, cutSeconds: 60 } : { loadSeconds: 20, cutSeconds: 12 };

const RECIPE = `
model: slow
engine: sim
runtime: process
env: { AIM_SIM_LOAD_SECONDS: "${TIMES.loadSeconds}" }
profiles: { 0_gpu: {} }
`;
const REQUEST = { model: "slow", messages: [{ role: "user" as const, content: "Tell me about waiting." }] };

const run = promisify(execFile);

describe("clients of a model that loads for long", { timeout: TIMES.loadSeconds * 1000 + 40_000 }, () => {
  let home: GatewayHome;
  let gateway: Gateway;
  let proxy: SilenceProxy;

  beforeAll(async () => {
    home = await GatewayHome.make({ recipes: { slow: RECIPE } });
    gateway = await home.start();
    proxy = await startSilenceProxy(new URL(gateway.url), TIMES.cutSeconds * 1000);
  });
  afterAll(async () => {
    await proxy.close();
    expect(await gateway.stop()).toBe(0);
    await home.remove();
  });

  /** With the settings that it comes with. */
  function sdk(baseUrl: string): OpenAI {
    return new OpenAI({ baseURL: `${baseUrl}/v1`, apiKey: "unused", logLevel: "off" });
  }

  async function streamed(client: OpenAI): Promise<string> {
    let text = "";
    for await (const chunk of await client.chat.completions.create({ ...REQUEST, stream: true })) {
      text += chunk.choices[0]?.delta.content ?? "";
    }
    return text;
  }

  async function whole(client: OpenAI): Promise<string> {
    return (await client.chat.completions.create(REQUEST)).choices[0]?.message.content ?? "";
  }

  /** What curl prints. */
  async function curl(): Promise<string> {
    const body = JSON.stringify({ ...REQUEST, stream: true });
    const url = `${gateway.url}/v1/chat/completions`;
    const { stdout } = await run("curl", ["-sSfN", url, "-H", "content-type: application/json", "-d", body]);
    return stdout;
  }

  it("all get their whole answer, and nothing else, where they are kept from silence", async () => {
    const direct = sdk(gateway.url);
    const behind = sdk(proxy.url.origin);
    const [printed, silent, ...answers] = await Promise.all([
      curl(),
      whole(behind.withOptions({ maxRetries: 0 })).catch((error: unknown) => error),
      streamed(direct),
      streamed(behind),
      whole(direct),
    ]);
    const warm = await whole(direct);
    expect(warm).not.toBe("");
    expect(answers).toEqual([warm, warm, warm]);
    expect(contentOf(printed)).toBe(warm);
    // What shows that the proxy is one: the same wait in silence does not come through.
    expect(silent).toBeInstanceOf(APIConnectionError);
  });
});

/** The text within an event stream as it was printed, which must be comments, events and [DONE]. */
function contentOf(printed: string): string {
  const parts = printed.trimEnd().split("\n\n");
  expect(parts.pop()).toBe("data: [DONE]");
  expect(parts.filter((part) => part.startsWith(": ")).length).toBeGreaterThan(TIMES.loadSeconds / 10);
  const events = parts.filter((part) => !part.startsWith(": "));
  return events.map((event) => JSON.parse(event.replace(/^data: /, "")).choices[0]?.delta.content ?? "").join("");
}
