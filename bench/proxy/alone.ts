// One benchmark at a time: two of them on one machine would measure each other.
import { createServer } from "node:net";
import { sleep, systemClock as clock } from "../../src/lib/clock.ts";

/** A name without a file (Linux): it is free as soon as whoever holds it has ended, however that came. */
const NAME = "\0aim-engine-bench-proxy";
const AGAIN_MS = 500;

/** Waits until no other benchmark runs, then keeps others waiting until this process ends. */
export async function waitForOthers(log: (line: string) => void): Promise<void> {
  for (let isFirst = true; !(await claim()); isFirst = false) {
    if (isFirst) log("another bench:proxy runs here: waiting for its end");
    await sleep(clock, AGAIN_MS);
  }
}

function claim(): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  const server = createServer();
  server.on("error", (error: NodeJS.ErrnoException) => (error.code === "EADDRINUSE" ? resolve(false) : reject(error)));
  server.listen(NAME, () => resolve(true));
  server.unref();
  return promise;
}
