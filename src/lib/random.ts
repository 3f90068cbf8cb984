// Randomness comes in through here, so that a simulation can seed it.
import { randomFillSync } from "node:crypto";

export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** A lower-case identifier of 16 hex digits. */
  id(): string;
}

const ID_BYTES = 8;
const ID_DIGITS = 2 * ID_BYTES;
/** Drawn and written out many ids at a time: either costs more than all the rest. */
const pool = Buffer.alloc(512 * ID_BYTES);
let digits = "";
let used = 0;

export const systemRandom: Random = {
  next: () => Math.random(),
  id() {
    if (used === digits.length) {
      digits = randomFillSync(pool).toString("hex");
      used = 0;
    }
    used += ID_DIGITS;
    return digits.slice(used - ID_DIGITS, used);
  },
};
