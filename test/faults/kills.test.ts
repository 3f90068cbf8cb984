// Replicas that are killed under load, one every five seconds: nobody whose request had not begun is to notice. `FULL=1` goes
// on for a minute.
import { Agent, request as httpRequest } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sleep, systemClock } from "../../src/lib/clock.ts";
import { GatewayHome, type Gateway } from "../support/gateway-process.ts";
import { until } from "../support/until.ts";
import { endingOf, type Heard } from "../gateway/edges/wire.ts";

const FULL = process.env["FULL"] === "1";
const LOAD_MS = FULL ? 60_000 : 10_000;
const KILL_EVERY_MS = 5_000;
const PEAK_CLIENTS = 32;
const PEAK_MS = 2_000;
const RECIPE = `
model: demo
engine: sim
runtime: process
env: { AIM_SIM_LOAD_SECONDS: "0.2", AIM_SIM_DECODE_MS_PER_TOKEN: "5" }
profiles: { 0_gpu: {} }
replicas: { min: 3, max: 3 }
`;

type Answer = Heard | { readonly lost: string };

describe("a gateway whose replicas are killed one after the other", { timeout: LOAD_MS + 120_000 }, () => {
  let home: GatewayHome;
  let gateway: Gateway;
  const agent = new Agent({ keepAlive: true });

  beforeAll(async () => {
    home = await GatewayHome.make({ recipes: { demo: RECIPE } });
    gateway = await home.start();
    await until(async () => (await ready()).length === 3, { timeoutMs: 40_000, what: "three replicas" });
  });
  afterAll(async () => {
    agent.destroy();
    await gateway.stop();
    await home.remove();
  });

  async function ready() {
    return (await gateway.replicas()).filter(({ state }) => state === "ready");
  }

  function ask(stream: boolean): Promise<Answer> {
    const body = JSON.stringify({ model: "demo", stream, max_tokens: 20, messages: [{ role: "user", content: "Hi" }] });
    return new Promise((resolve) => {
      const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
      const outgoing = httpRequest(`${gateway.url}/v1/chat/completions`, { method: "POST", agent, headers });
      outgoing.on("error", ({ message }) => resolve({ lost: message }));
      outgoing.on("response", (incoming) => {
        const parts: Buffer[] = [];
        incoming.on("data", (part: Buffer) => parts.push(part));
        incoming.on("error", () => {}); // `complete` tells it
        incoming.on("close", () => {
          const { statusCode: status = 0, headers: heard, complete: whole, trailers } = incoming;
          const all = Buffer.concat(parts);
          resolve({ status, headers: heard, body: all, text: all.toString("utf8"), whole, interim: [], trailers });
        });
      });
      outgoing.end(body);
    });
  }

  /** Requests per second when as many clients as there may be ask without a pause. */
  async function measurePeak(): Promise<number> {
    const endAt = performance.now() + PEAK_MS;
    let served = 0;
    const client = async (number: number) => {
      while (performance.now() < endAt) {
        await ask(number % 2 === 0);
        served += 1;
      }
    };
    await Promise.all(Array.from({ length: PEAK_CLIENTS }, (_, number) => client(number)));
    return (served / PEAK_MS) * 1000;
  }

  async function killOne(turn: number): Promise<void> {
    const serving = await ready();
    const pid = Number(serving[turn % serving.length]?.backend?.split(":")[0]);
    expect(pid).toBeGreaterThan(1);
    process.kill(pid, "SIGKILL");
  }

  /** By itself the gateway would pause before each start for longer: here somebody looks on, and wants three at once. */
  async function wantThree(): Promise<void> {
    await until(async () => (await ready()).length < 3, { what: "the noticing of a death" });
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ model: "demo", replicas: 3 });
    const answer = await fetch(`${gateway.url}/api/replicas`, { method: "POST", headers, body });
    expect([answer.status, await answer.text()]).toEqual([expect.toBeOneOf([200, 201, 202]), expect.any(String)]);
  }

  it("loses no request that had not begun, and tells all others", async () => {
    const perSecond = 0.8 * (await measurePeak());
    const beganAt = performance.now();
    const answers: Promise<Answer>[] = [];
    const launches: Promise<void>[] = [];
    let kills = 0;
    for (;;) {
      const elapsed = performance.now() - beganAt;
      if (elapsed > LOAD_MS) break;
      while (answers.length < (elapsed / 1000) * perSecond) answers.push(ask(answers.length % 2 === 0));
      if (elapsed > (kills + 0.5) * KILL_EVERY_MS) {
        await killOne(kills++);
        launches.push(wantThree());
      }
      await sleep(systemClock, 5);
    }
    const heard = await Promise.all(answers);
    await Promise.all(launches);
    const tally = Map.groupBy(heard, judge);
    const summary = Object.fromEntries([...tally].map(([what, all]) => [what, all.length]));
    expect(kills).toBe(Math.floor(LOAD_MS / KILL_EVERY_MS));
    const allowed = ["served", "cut stream, told by an event", "cut answer, told by a 502", "cut answer, cut"];
    expect(Object.keys(summary).filter((what) => !allowed.includes(what))).toEqual([]);
    expect(summary["served"]).toBeGreaterThan(0.8 * heard.length);
  });
});

/** What a client makes of an answer. A 502 says that its request had been sent to the replica that died. */
function judge(answer: Answer): string {
  if ("lost" in answer) return `lost: ${answer.lost}`;
  const { status, whole, text, headers } = answer;
  const isStream = String(headers["content-type"]).startsWith("text/event-stream");
  if (status === 502 && text.includes("without an answer")) return "cut answer, told by a 502";
  if (status !== 200) return `${status}: ${text}`;
  if (!isStream) return whole ? "served" : "cut answer, cut";
  const ending = endingOf(answer);
  if (ending === "done") return "served";
  const isTold = ending === "error event" && !text.includes("[DONE]");
  return isTold ? "cut stream, told by an event" : `${ending}: ${text.slice(-300)}`;
}
