// Ending things: every step gets its turn, whatever became of the ones before it.

/** Runs the steps one after the other. Throws the one fault, or an `AggregateError` of several, when all have had their turn. */
export async function runAll(steps: readonly (() => unknown)[]): Promise<void> {
  const faults: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      faults.push(error);
    }
  }
  if (faults.length === 1) throw faults[0];
  if (faults.length > 1) throw new AggregateError(faults, `${faults.length} steps of a shutdown failed`);
}
