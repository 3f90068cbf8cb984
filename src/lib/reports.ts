// Work that reports as it goes, as something to iterate: whoever reads slowly gets the latest report, not all of them.

/** Ends when the work has ended, and throws what it threw. Whoever leaves early ends the work by its signal. */
export async function* reportsOf<T>(
  work: (report: (value: T) => void, signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  const leaving = new AbortController();
  let latest: { readonly value: T } | undefined;
  let isDone = false;
  let news = Promise.withResolvers<void>();
  const report = (value: T) => {
    latest = { value };
    news.resolve();
  };
  const working = work(report, AbortSignal.any([signal, leaving.signal])).finally(() => {
    isDone = true;
    news.resolve();
  });
  // It is awaited below, unless whoever reads leaves before: then nobody is there to be told.
  working.catch(() => undefined);
  try {
    for (;;) {
      const next = latest;
      latest = undefined;
      if (next !== undefined) yield next.value;
      else if (isDone) break;
      else {
        await news.promise;
        news = Promise.withResolvers();
      }
    }
    await working;
  } finally {
    leaving.abort(new Error("nobody reads the reports any more"));
  }
}
