// One window of load on one proxy, and what it has cost.
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runPinned } from "./processes.ts";
import type { Place, Running } from "./variant.ts";
import { requestOf, type Workload } from "./workloads.ts";

/** Microseconds. */
export interface Quantiles {
  readonly p50: number;
  readonly p99: number;
}

/** What the load generator says of a window. */
interface Window {
  readonly seconds: number;
  readonly requests: number;
  readonly chunks: number;
  readonly failures: number;
  readonly firstFailure: string;
  readonly reconnects: number;
  readonly cpuNs: { readonly proxy: number; readonly mock: number; readonly load: number; readonly foreign: number };
  readonly rssKb: number;
  /** Of requests with a plain answer. */
  readonly latency: Quantiles | null;
  /** From the request to the first event. */
  readonly firstEvent: Quantiles | null;
  /** From the backend's write of an event to its arrival. */
  readonly delay: Quantiles | null;
}

export interface Figures {
  readonly perSecond: { readonly requests: number; readonly chunks: number };
  /** CPU time of the proxy, in microseconds. */
  readonly cpuUs: { readonly perRequest: number; readonly perChunk: number };
  /** Share of one processor. */
  readonly share: { readonly proxy: number; readonly mock: number; readonly load: number; readonly foreign: number };
  readonly residentMb: number;
  readonly latency: Quantiles | undefined;
  readonly firstEvent: Quantiles | undefined;
  readonly delay: Quantiles | undefined;
}

/** Beyond this share of a processor taken by others, a window is measured once more. */
const FOREIGN = 0.3;

/** Measures; where others disturb it once more, and keeps the quieter. @throws when an answer was not what it had to be. */
export async function measure(workload: Workload, running: Running, place: Place): Promise<Figures> {
  const first = await measureOnce(workload, running, place);
  if (first.share.foreign <= FOREIGN) return first;
  const second = await measureOnce(workload, running, place);
  return second.share.foreign < first.share.foreign ? second : first;
}

/** One window, whatever disturbs it. @throws when an answer was not what it had to be. */
export async function measureOnce(workload: Workload, running: Running, place: Place): Promise<Figures> {
  const { port, headers, mockPids } = running;
  const request = join(place.folder, `${workload.name}.http`);
  await writeFile(request, requestOf(workload, port, headers));
  const { connections, rate, stream, seconds, warmupSeconds } = workload;
  const options = [
    `port=${port}`,
    `request=${request}`,
    `connections=${connections}`,
    `seconds=${seconds}`,
    `warmup=${warmupSeconds}`,
    `mock=${mockPids.join(",")}`,
    `proxy=${running.pids().join(",")}`,
    ...(rate === undefined ? [] : [`rate=${rate}`]),
    ...(stream === undefined ? [] : [`events=${stream.events}`]),
  ];
  const stdout = await runLoad(options, place);
  // What it prints is ours, too: load.c says it in these words.
  const window: Window = JSON.parse(stdout);
  if (window.failures > 0)
    throw new Error(`${workload.name}: ${window.failures} answers were wrong, the first: ${window.firstFailure}`);
  return figuresOf(window);
}

async function runLoad(options: readonly string[], { native, folder, cpus, realtime }: Place): Promise<string> {
  const answer = join(folder, "load.json");
  await rm(answer, { force: true });
  const code = await runPinned({ argv: [native.load, ...options], cpus: cpus.load, realtime, log: answer });
  const text = await readFile(answer, "utf8");
  if (code !== 0) throw new Error(`the load generator failed: ${text}`);
  return text;
}

function figuresOf({ seconds, requests, chunks, cpuNs, rssKb, latency, firstEvent, delay }: Window): Figures {
  const share = (ns: number) => ns / 1e9 / seconds;
  return {
    perSecond: { requests: requests / seconds, chunks: chunks / seconds },
    cpuUs: {
      perRequest: cpuNs.proxy / 1000 / Math.max(1, requests),
      perChunk: cpuNs.proxy / 1000 / Math.max(1, chunks),
    },
    share: {
      proxy: share(cpuNs.proxy),
      mock: share(cpuNs.mock),
      load: share(cpuNs.load),
      foreign: share(cpuNs.foreign),
    },
    residentMb: rssKb / 1024,
    latency: latency ?? undefined,
    firstEvent: firstEvent ?? undefined,
    delay: delay ?? undefined,
  };
}
