// How many streams of 50 events/s a proxy takes before its events come late.
import { measureOnce } from "./measure.ts";
import type { Place, Running } from "./variant.ts";
import { pacedStreams } from "./workloads.ts";

const LATE_US = 20_000;
const FIRST = 1_000;
const MOST = 2_000;
const STEP = 50;

/** The most streams, in steps of 50, of whose events 99 % come within 20 ms; found by halving; at most 2,000. */
export async function findKnee(running: Running, place: Place): Promise<number> {
  let good = 0;
  let bad = MOST + STEP;
  for (let streams = FIRST; bad - good > STEP; streams = halfway(good, bad)) {
    const { delay } = await measureOnce(pacedStreams(streams), running, place);
    if (delay !== undefined && delay.p99 < LATE_US) good = streams;
    else bad = streams;
  }
  return good;
}

function halfway(good: number, bad: number): number {
  return Math.max(good + STEP, Math.round((good + bad) / 2 / STEP) * STEP);
}
