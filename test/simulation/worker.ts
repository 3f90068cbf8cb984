// One of a crew: plays the seeds it is told to, one after the other, until one fails.
import { parentPort, workerData } from "node:worker_threads";
import { z } from "zod";
import { messageOf } from "../../src/errors.ts";
import type { Report, Shift } from "./crew.ts";
import { simulate } from "./simulation.ts";

const { steps, current } = z.object({ steps: z.number(), current: z.instanceof(Int32Array) }).parse(workerData);

// Nobody reads the stacks of errors that are made by the thousand.
Error.stackTraceLimit = 0;

parentPort?.on("message", (shift: Shift) => {
  void play(shift).then((report) => parentPort?.postMessage(report));
});

async function play({ from, count }: Shift): Promise<Report> {
  for (let played = 0; played < count; played++) {
    const seed = from + played;
    Atomics.store(current, 0, seed);
    try {
      await simulate({ seed, steps });
    } catch (error) {
      return { played: played + 1, failure: { seed, message: messageOf(error) } };
    }
  }
  return { played: count };
}
