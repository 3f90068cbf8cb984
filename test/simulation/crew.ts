// Spreads seeds over worker threads, a few at a time; ends with the first seed that fails, the lowest of those under way.
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { systemClock } from "../../src/lib/clock.ts";

/** A stretch of seeds. */
export interface Shift {
  readonly from: number;
  readonly count: number;
}

export interface Verdict {
  readonly seed: number;
  /** What was broken, and the story of how it came about. */
  readonly message: string;
}

/** What a worker answers for a shift. */
export type Report = { readonly played: number; readonly failure?: Verdict };

export interface Voyage extends Shift {
  readonly steps: number;
  /** Folder of the source under test, with a copy of these tests. */
  readonly root: URL;
  readonly workers?: number;
  /** Called after each shift with how many seeds have been played. */
  onProgress?(played: number): void;
}

export interface Outcome {
  readonly played: number;
  readonly failure?: Verdict;
}

/** So much is lost at most when a seed fails, and so often progress is told. */
const SHIFT = 20;
/** Most of what a life makes is garbage soon; the less often that is looked at, the less of it is left to be copied. */
const YOUNG_GENERATION_MB = 64;
/** For a shift. */
const LIMIT_MS = 60_000;

export async function sail(voyage: Voyage): Promise<Outcome> {
  const state: State = { next: voyage.from, end: voyage.from + voyage.count, played: 0, failures: [] };
  const size = Math.min(voyage.workers ?? availableParallelism(), Math.ceil(voyage.count / SHIFT));
  await Promise.all(Array.from({ length: size }, () => work(voyage, state)));
  const [failure] = state.failures.toSorted((a, b) => a.seed - b.seed);
  return { played: state.played, ...(failure === undefined ? {} : { failure }) };
}

interface State {
  next: number;
  readonly end: number;
  played: number;
  readonly failures: Verdict[];
}

async function work(voyage: Voyage, state: State): Promise<void> {
  const current = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(new URL("test/simulation/worker.ts", voyage.root), {
    workerData: { steps: voyage.steps, current },
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
  });
  try {
    while (state.next < state.end && state.failures.length === 0) {
      const shift = { from: state.next, count: Math.min(SHIFT, state.end - state.next) };
      state.next += shift.count;
      const { played, failure } = await play(worker, shift, current);
      state.played += played;
      if (failure !== undefined) state.failures.push(failure);
      voyage.onProgress?.(state.played);
    }
  } finally {
    await worker.terminate();
  }
}

/** One that does not come back is in a life without end, and knows in which. */
async function play(worker: Worker, shift: Shift, current: Int32Array): Promise<Report> {
  const { promise, resolve, reject } = Promise.withResolvers<Report>();
  const giveUp = () => {
    const seed = Atomics.load(current, 0);
    resolve({ played: 1, failure: { seed, message: `seed ${seed}: no end of it after ${LIMIT_MS / 1000} s` } });
  };
  const limit = systemClock.setTimer(LIMIT_MS, giveUp);
  const onExit = (code: number) => reject(new Error(`a worker ended with code ${code}`));
  worker.once("message", resolve).once("error", reject).once("exit", onExit);
  worker.postMessage(shift);
  try {
    return await promise;
  } finally {
    limit.cancel();
    worker.off("message", resolve).off("error", reject).off("exit", onExit);
  }
}
