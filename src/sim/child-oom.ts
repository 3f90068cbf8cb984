// A child that fills its memory and dies, as an engine's worker does while the server in front of it lives on.
import { spawn } from "node:child_process";
import type { Timer } from "../lib/clock.ts";
import type { Core } from "./core.ts";

/** In a container with less memory than that the kernel kills it; elsewhere it kills itself, so the host is safe. */
const HOG = `
  const held = [];
  for (let mib = 0; mib < Number(process.argv[1]); mib++) held.push(Buffer.alloc(2 ** 20, 1));
  process.kill(process.pid, "SIGKILL");
`;

/** After the child's death the engine makes no step any more, and nobody but the log is told. */
export function scheduleChildOom({ options, clock, engine, log }: Core): Timer {
  const { childOom, childOomMib } = options.knobs;
  let stopped = false;
  let kill = () => {};
  const timer = clock.setTimer((childOom ?? Infinity) * 1000, () => {
    const child = spawn(process.execPath, ["-e", HOG, String(childOomMib)], { stdio: "ignore" });
    kill = () => child.kill("SIGKILL");
    const onDeath = () => {
      engine.pause();
      log.warn("The simulated engine's child was killed.");
    };
    child.once("exit", onDeath);
    // A child that cannot be started is as dead as one that was killed.
    child.once("error", onDeath);
    if (stopped) kill();
  });
  return {
    cancel() {
      stopped = true;
      timer.cancel();
      kill();
    },
  };
}
