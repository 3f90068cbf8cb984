// Answers that are worth remembering since the same few questions are asked over and over.

export interface MemoryLimits {
  /** Answers. */
  readonly most: number;
  /** Characters of a question whose answer is worth a place. */
  readonly longest: number;
}

/**
 * The function with a memory of so many answers. It forgets all of them at once when that is full: whoever asks for ever new
 * things slows it down to what it was without, and no further.
 */
export function memoized<T>({ most, longest }: MemoryLimits, answer: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    if (text.length > longest) return answer(text);
    const before = known.get(text);
    if (before !== undefined) return before;
    // Of its own: a piece of a longer text keeps all of that in memory.
    const copy = ` ${text}`.slice(1);
    const found = answer(copy);
    if (known.size >= most) known.clear();
    known.set(copy, found);
    return found;
  };
}
