// Watches whether engines that have requests make progress, by the tokens that they count: an engine may hang for hours and
// still call itself healthy. How slowly it answers otherwise says nothing.
import type { Clock } from "../lib/clock.ts";
import { startLoop, type Loop } from "../lib/loop.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Router } from "./balance/router.ts";
import type { Fleet } from "./fleet.ts";
import type { Replica } from "./replica.ts";

/** What an engine says about its work. */
export interface EngineLoad {
  /** Requests that it works on or keeps in its queue. */
  readonly requests: number;
  /** Rises with every token. */
  readonly tokens: number;
  /** Tokens that its prefix cache holds; absent where it does not tell. */
  readonly cacheTokens?: number;
}

export interface WatchdogDeps {
  readonly clock: Clock;
  readonly fleet: Fleet;
  readonly router: Pick<Router, "cacheHolds">;
  readonly logger: Logger;
  /** How long an engine may have work and do none; Infinity: for ever. */
  readonly limitMs: number;
  /** Undefined when it does not tell, or not now; bounded in time, and rejects when the signal aborts. */
  loadOf(address: URL, signal: AbortSignal): Promise<EngineLoad | undefined>;
  /** Whether its engine still generates; resolves within half a minute, and rejects when the signal aborts. */
  generates(address: URL, model: string, signal: AbortSignal): Promise<boolean>;
  onStalled(replica: Replica, silentMs: number): Promise<void>;
}

const EVERY_MS = 15_000;

interface Mark {
  readonly tokens: number;
  /** When that count was first seen. */
  readonly since: number;
}

/** Starts at once; `stop` ends it and the questions it is asking. */
export function startWatchdog(deps: WatchdogDeps): Loop {
  const watchdog = new Watchdog(deps);
  return startLoop({
    clock: deps.clock,
    everyMs: deps.limitMs === Infinity ? Infinity : EVERY_MS,
    run: (signal) => watchdog.look(signal),
    onError: (error) => deps.logger.error({ err: error }, "watching the engines failed"),
  });
}

class Watchdog {
  readonly #deps: WatchdogDeps;
  readonly #marks = new Map<Replica, Mark>();

  constructor(deps: WatchdogDeps) {
    this.#deps = deps;
  }

  async look(signal: AbortSignal): Promise<void> {
    const busy = this.#deps.fleet.replicas.all().filter(isBusy);
    for (const replica of this.#marks.keys()) if (!busy.includes(replica)) this.#marks.delete(replica);
    await Promise.all(busy.map((replica) => this.#check(replica, signal)));
  }

  async #check(replica: Replica, signal: AbortSignal): Promise<void> {
    const { address } = replica;
    if (address === undefined) return;
    const load = await this.#deps.loadOf(address, signal);
    // What is not known now may be known next time; meanwhile nothing is held against it.
    if (load === undefined || !isBusy(replica)) return;
    if (load.cacheTokens !== undefined) this.#deps.router.cacheHolds(replica, load.cacheTokens);
    const now = this.#deps.clock.now();
    const mark = this.#marks.get(replica);
    if (mark?.tokens !== load.tokens) return void this.#marks.set(replica, { tokens: load.tokens, since: now });
    const silentMs = now - mark.since;
    if (silentMs < this.#deps.limitMs) return;
    if (load.requests === 0 && (await this.#isIdle(replica, address, signal))) return;
    await this.#deps.onStalled(replica, silentMs);
  }

  /**
   * It says that it has nothing to do: its answers may be on their way to slow readers, or it hung before it took note of a
   * request. One token more tells.
   */
  async #isIdle(replica: Replica, address: URL, signal: AbortSignal): Promise<boolean> {
    const generates = await this.#deps.generates(address, replica.model, signal);
    if (generates) this.#marks.delete(replica);
    return generates || !isBusy(replica);
  }
}

function isBusy({ state, inFlight }: Replica): boolean {
  return (state === "ready" || state === "draining") && inFlight > 0;
}
