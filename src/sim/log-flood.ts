// A log that is flooded with useless lines, at a steady rate.
import type { Timer } from "../lib/clock.ts";
import type { World } from "./core.ts";

const TICK_MS = 50;

/** Writes until it is cancelled. */
export function startLogFlood(linesPerSecond: number, { clock, log }: World): Timer {
  if (linesPerSecond === 0) return { cancel() {} };
  const startedAt = clock.now();
  let written = 0;
  const tick = () => {
    const due = Math.floor(((clock.now() - startedAt) / 1000) * linesPerSecond);
    while (written < due) log.info("EngineCore", `Flood line ${++written}: ${"x".repeat(60)}`);
    timer = clock.setTimer(TICK_MS, tick);
  };
  let timer = clock.setTimer(TICK_MS, tick);
  return { cancel: () => timer.cancel() };
}
