// One cold start: asks for a model that does not run, gathers when what happened, and takes the model down again.
import type { GpuView } from "../../src/admin/view.ts";
import { systemClock } from "../../src/lib/clock.ts";
import type { Gateway } from "../../test/support/gateway-process.ts";
import { until } from "../../test/support/until.ts";
import type { DockerTap } from "./docker-tap.ts";
import type { Stamps } from "./phases.ts";
import type { Site } from "./site.ts";

const LIMIT = { timeoutMs: 30_000 };

/** Nothing may run when it begins, and nothing does when it ends. */
export async function measureColdStart({ gateway, tap }: Site, model: string): Promise<Stamps> {
  const heardBefore = gateway.lines.length;
  tap?.take();
  const asked = systemClock.wallNow();
  const response = await gateway.chat({ model, stream: true, max_tokens: 1 });
  const firstByte = await firstPiece(response);
  const states = statesIn(gateway.lines.slice(heardBefore));
  const made = tap === undefined ? madeAsProcess(states) : madeByDocker(tap);
  const answers = await answersSince(gateway);
  await takeDown(gateway);
  return { asked, decided: states("pending"), ...made, answers, ready: states("ready"), firstByte };
}

/** When the first event of the answer came; comments, which come while the client waits, do not count. */
async function firstPiece(response: Response): Promise<number> {
  let firstAt: number | undefined;
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (firstAt === undefined && /^data: /m.test(text)) firstAt = systemClock.wallNow();
  }
  if (firstAt === undefined || !text.endsWith("data: [DONE]\n\n")) throw new Error(`no whole answer came:\n${text}`);
  return firstAt;
}

type States = (state: string) => number;
type Made = Pick<Stamps, "create" | "created" | "start" | "started">;

/** When the replica came to a state, by the gateway's log. */
function statesIn(lines: Gateway["lines"]): States {
  const moves = lines.filter(({ msg }) => msg === "replica changed state");
  return (state) => timeOf(moves.find(({ to }) => to === state)?.["time"], `a replica that is ${state}`);
}

/** Until a process runs, all of it is ours. */
function madeAsProcess(states: States): Made {
  const runs = states("loading");
  return { create: runs, created: runs, start: runs, started: runs };
}

function madeByDocker(tap: DockerTap): Made {
  const calls = tap.take();
  const [create, start] = (["create", "start"] as const).map((kind) => calls.find((call) => call.kind === kind));
  if (create?.answeredAt === undefined || start?.answeredAt === undefined)
    throw new Error("Docker was not asked for a container");
  return { create: create.askedAt, created: create.answeredAt, start: start.askedAt, started: start.answeredAt };
}

/** By the word of the engine itself. */
async function answersSince(gateway: Gateway): Promise<number> {
  const [replica] = await gateway.replicas();
  const log = await (await fetch(`${gateway.url}/api/replicas/${replica?.name}/logs?tail=200`)).text();
  return timeOf(/It answers since ([^ ]+Z)\./.exec(log)?.[1], "an engine that answers");
}

async function takeDown(gateway: Gateway): Promise<void> {
  for (const { name } of await gateway.replicas())
    await fetch(`${gateway.url}/api/replicas/${name}?force=true`, { method: "DELETE" });
  await until(() => isEmpty(gateway), { ...LIMIT, what: "the end of the replica" });
}

/** Also its GPUs, whose memory has to be back before anything is placed on them. */
async function isEmpty(gateway: Gateway): Promise<boolean> {
  const { gpus } = await gateway.get<{ gpus: readonly GpuView[] }>("/api/gpus");
  return (await gateway.replicas()).length === 0 && gpus.every(({ status }) => status === "free");
}

function timeOf(text: unknown, what: string): number {
  const time = typeof text === "string" ? Date.parse(text) : NaN;
  if (Number.isNaN(time)) throw new Error(`nothing was heard of ${what}`);
  return time;
}
