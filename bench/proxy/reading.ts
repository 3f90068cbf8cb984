// What our gateway's look at a prompt costs by itself, beside a copy of the same bytes.
import { systemClock as clock } from "../../src/lib/clock.ts";
import { parseBody } from "../../src/gateway/request.ts";
import { bodyOf, type Workload } from "./workloads.ts";

export interface Reading {
  readonly workload: string;
  /** Microseconds: the median of many. */
  readonly readUs: number;
  readonly copyUs: number;
}

const WARM_UP_MS = 300;
const MEASURE_MS = 300;

/** Of the body of one request of a workload. */
export function measureReading({ name, prompt, stream }: Workload): Reading {
  const body = bodyOf(prompt, stream);
  return { workload: name, readUs: medianUs(() => parseBody(body)), copyUs: medianUs(() => Buffer.from(body)) };
}

function medianUs(work: () => unknown): number {
  repeat(work, WARM_UP_MS);
  const spent = repeat(work, MEASURE_MS).sort((a, b) => a - b);
  return 1000 * (spent[Math.floor(spent.length / 2)] ?? NaN);
}

/** How long each took, in ms. */
function repeat(work: () => unknown, forMs: number): number[] {
  const spent: number[] = [];
  const since = clock.now();
  for (let now = since; now - since < forMs;) {
    work();
    const then = clock.now();
    spent.push(then - now);
    now = then;
  }
  return spent;
}
