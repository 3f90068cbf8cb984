// Ending process groups: asked first, killed when their grace is over, and seen to be gone.
import { AimError, messageOf, codeOf } from "../../errors.ts";
import { sleep, type Clock } from "../../lib/clock.ts";

/** SIGKILL cannot be refused, but a process may hang in the kernel (in a GPU driver) before it obeys. */
const KILL_WAIT_MS = 15_000;
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 320;

interface Order {
  readonly signals: readonly NodeJS.Signals[];
  readonly withinMs: number;
  readonly clock: Clock;
}

/** Ends whatever `liveGroups` tells, until it tells nothing. False when something survives even SIGKILL. */
export async function endGroups(
  liveGroups: () => Promise<ReadonlySet<number>>,
  options: { readonly graceMs: number; readonly clock: Clock },
  signal: AbortSignal,
): Promise<boolean> {
  const { clock, graceMs } = options;
  // A stopped process must go on (SIGCONT) before it can end by itself.
  const ask: Order = { signals: ["SIGTERM", "SIGCONT"], withinMs: graceMs, clock };
  const kill: Order = { signals: ["SIGKILL"], withinMs: KILL_WAIT_MS, clock };
  return (await areGone(liveGroups, ask, signal)) || (await areGone(liveGroups, kill, signal));
}

/** Signals each group once, those that appear meanwhile included, and tells whether all were gone in time. */
async function areGone(
  liveGroups: () => Promise<ReadonlySet<number>>,
  order: Order,
  signal: AbortSignal,
): Promise<boolean> {
  const { clock } = order;
  const told = new Set<number>();
  const giveUpAt = clock.now() + order.withinMs;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    const groups = await liveGroups();
    if (groups.size === 0) return true;
    if (told.size > 0 && clock.now() >= giveUpAt) return false;
    for (const group of groups) {
      if (!told.has(group)) order.signals.forEach((name) => signalGroup(group, name));
      told.add(group);
    }
    await sleep(clock, Math.min(pauseMs, Math.max(0, giveUpAt - clock.now())), signal);
  }
}

/** Signals every process of a group; one that is gone already is fine. */
function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch (error) {
    if (codeOf(error) === "ESRCH") return;
    const message = `cannot send ${signal} to process group ${group}: ${messageOf(error)}`;
    throw new AimError("runtime_failed", message, { cause: error });
  }
}
