// Chance in the shapes that traffic has; the seed decides everything.
import type { Seeded } from "../../test/simulation/seeded.ts";

/** Times of independent arrivals, `meanMs` apart on average, from `from` up to but not including `to`. */
export function poisson(random: Seeded, meanMs: number, { from = 0, to }: { from?: number; to: number }): number[] {
  const times: number[] = [];
  for (let at = from + exponential(random, meanMs); at < to; at += exponential(random, meanMs)) times.push(at);
  return times;
}

/** How long a request is served: most are short, a few are long. Half take less than `medianMs`, none ten times as long. */
export function serviceMs(random: Seeded, medianMs: number): number {
  return Math.round(medianMs * Math.min(10, Math.exp(SPREAD * normal(random))));
}

/** Picks the nth of `count` with a probability of 1/(n+1), as popularity goes. */
export function zipf(random: Seeded, count: number): number {
  return random.weighted(Array.from({ length: count }, (_, rank) => [1 / (rank + 1), rank] as const));
}

/** Of the logarithm of a service time. */
const SPREAD = 0.8;

function exponential(random: Seeded, mean: number): number {
  return -mean * Math.log(1 - random.next());
}

/** Box and Muller. */
function normal(random: Seeded): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
}
