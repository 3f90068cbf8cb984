// Our own gateway with all that it does: keys, metrics, limits, a log in a file, and a replica that its control plane started.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { configSchema } from "../../../src/config-schema.ts";
import { sleep, systemClock as clock } from "../../../src/lib/clock.ts";
import { awaitListening, endGroup, freePort, groupOf, startPinned } from "../processes.ts";
import { endMocks, findMock, KEY, MODEL, OUTPUT, type Place, type Running, type Variant } from "../variant.ts";

const HERE = join(import.meta.dirname, "../../..");
const READY_MS = 20_000;
/** As production has them: docs/operations.md, "Memory of the gateway". */
const NODE_OPTIONS = ["--max-semi-space-size=16"];

/** One process, as it is by default. */
export const us: Variant = {
  name: "us",
  about: "this gateway, one worker",
  whyMissing: () => undefined,
  start: (place) =>
    startGateway(place, { cpus: place.cpus.proxy, config: "workers" in configSchema.shape ? "workers: 1\n" : "" }),
};

/** As many workers as there are processors, shared with the load side. */
export const usWorkers: Variant = {
  name: "us-workers",
  about: "this gateway, two workers on both processors",
  whyMissing: () => ("workers" in configSchema.shape ? undefined : "this gateway has no workers"),
  start: (place) => startGateway(place, { cpus: `${place.cpus.proxy},${place.cpus.load}`, config: "workers: 2\n" }),
};

/** Another checkout of this gateway, to compare a change with what was before. */
export function usIn(checkout: string): Variant {
  return {
    name: "base",
    about: `this gateway as it is in ${checkout}`,
    whyMissing: () => undefined,
    start: (place) => startGateway(place, { cpus: place.cpus.proxy, config: "", checkout }),
  };
}

interface How {
  readonly cpus: string;
  /** Lines for config.yaml. */
  readonly config: string;
  readonly checkout?: string;
}

async function startGateway(place: Place, how: How): Promise<Running> {
  const { folder, profile } = place;
  // The profiler's thread would have to wait for the one that it watches.
  const realtime = place.realtime && profile === undefined;
  const port = await freePort();
  await mkdir(join(folder, "recipes"));
  await writeFile(join(folder, "recipes", "bench.yaml"), recipeOf(place));
  await writeFile(join(folder, "config.yaml"), configOf(place, port) + how.config);
  const node = [
    process.execPath,
    ...NODE_OPTIONS,
    ...(profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profile}`]),
  ];
  const argv = [...node, join(how.checkout ?? HERE, "src/main.ts"), "serve", "--config", join(folder, "config.yaml")];
  const child = startPinned({ argv, cpus: how.cpus, realtime, log: join(folder, OUTPUT) });
  const stop = async () => {
    await endGroup(child);
    endMocks(place.native);
  };
  try {
    await awaitListening(port, child);
    await awaitAnswer(port);
    const mockPids = await findMock(place);
    return { port, pids: () => groupOf(child), mockPids, headers: [], stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function configOf({ folder }: Place, port: number): string {
  const keys = ["bench-key-of-another", KEY, "bench-key-of-a-third"];
  return [
    `listen: 127.0.0.1:${port}`,
    `installation: bench-${process.pid}`,
    `recipes: ${JSON.stringify(join(folder, "recipes"))}`,
    `stateDir: ${JSON.stringify(join(folder, "state"))}`,
    `apiKeys: ${JSON.stringify(keys)}`,
    "policy: { processes: true }",
    "drainTimeout: 1s",
    "stopGrace: 1s",
    "",
  ].join("\n");
}

function recipeOf({ native, cpus }: Place): string {
  const command = ["taskset", "-c", cpus.load, native.mock, "{port}", "{model}"];
  return [
    `model: ${MODEL}`,
    "engine: openai",
    "runtime: process",
    `command: ${JSON.stringify(command)}`,
    "profiles: { 0_gpu: {} }",
    "preload: true",
    "pin: true",
    "maxInFlight: 4096",
    "",
  ].join("\n");
}

/** The first request waits for the replica. */
async function awaitAnswer(port: number): Promise<void> {
  const until = clock.now() + READY_MS;
  for (;;) {
    const response = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${KEY}` },
      body: JSON.stringify({ model: MODEL, messages: [{ role: "user", content: "Hi" }] }),
    });
    const text = await response.text();
    if (response.status === 200) return;
    if (clock.now() > until) throw new Error(`our gateway answers ${response.status}: ${text}`);
    await sleep(clock, 100);
  }
}
