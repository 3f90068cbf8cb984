// Randomness comes in through here, so that a simulation can seed it.
import { randomFillSync } from "node:crypto";

export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** A lower-case identifier of 16 hex digits. */
  id(): string;
}

const ID_BYTES = 8;
/** Drawn many ids at a time: asking the system costs more than all the rest. */
const pool = Buffer.alloc(512 * ID_BYTES);
let used = pool.length;

export const systemRandom: Random = {
  next: () => Math.random(),
  id() {
    if (used === pool.length) {
      randomFillSync(pool);
      used = 0;
    }
    used += ID_BYTES;
    return pool.toString("hex", used - ID_BYTES, used);
  },
};
