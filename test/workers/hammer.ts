// A thread that takes slots and gives them back as fast as it can, and counts by itself how many are held at a time.
import { parentPort, workerData } from "node:worker_threads";
import { Tally, type TallyMemory } from "../../src/workers/tally.ts";

export interface HammerStart {
  readonly memory: TallyMemory;
  readonly thread: number;
  /** Held now, the most that were held, the rounds that all made, and whether to end. */
  readonly witness: SharedArrayBuffer;
}

export const WITNESS = { held: 0, most: 1, rounds: 2, end: 3 } as const;

function hammer({ memory, thread, witness }: HammerStart): void {
  const tally = new Tally(memory);
  const seen = new Int32Array(witness);
  while (Atomics.load(seen, WITNESS.end) === 0) {
    if (tally.take(0, thread, 1) === "taken") {
      const held = Atomics.add(seen, WITNESS.held, 1) + 1;
      for (let most = Atomics.load(seen, WITNESS.most); held > most; most = Atomics.load(seen, WITNESS.most))
        Atomics.compareExchange(seen, WITNESS.most, most, held);
      Atomics.sub(seen, WITNESS.held, 1);
      tally.giveBack(0, thread, 2);
    }
    Atomics.add(seen, WITNESS.rounds, 1);
  }
}

const start: HammerStart | undefined = workerData ?? undefined;
if (parentPort !== null && start !== undefined) hammer(start);
