// Randomness comes in through here, so that a simulation can seed it.

export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** A lower-case identifier of 16 hex digits. */
  id(): string;
}

export const systemRandom: Random = {
  next: () => Math.random(),
  id: () => crypto.randomUUID().replaceAll("-", "").slice(0, 16),
};
