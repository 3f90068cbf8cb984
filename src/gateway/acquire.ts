// Gets a replica for a request: at once when one is ready, otherwise by waiting with the client, within a bound.
import { AimError, isAimError } from "../errors.ts";
import type { GatewayDeps } from "./deps.ts";
import type { Exchange } from "./exchange.ts";
import { KeepAlive } from "./keep-alive.ts";
import type { Lease, RequestHints } from "./pool.ts";
import type { Target } from "./resolve.ts";

type AcquireDeps = Pick<GatewayDeps, "pool" | "clock" | "settings" | "random">;

/** Those whom the queue has no place for come in crowds, and must not all come back at once. */
const MOST_LATER = 0.5;

/** The caller owns the lease. Where one is ready there is no promise, no timer, and nothing is written. */
export function acquireLease(target: Target, exchange: Exchange, deps: AcquireDeps): Lease | Promise<Lease> {
  if (exchange.isAborted) throw exchange.abortReason;
  exchange.phase = "queued";
  const lease = deps.pool.tryAcquire(target.model, hintsOf(target, exchange));
  if (lease === undefined) return waitForLease({ target, exchange, deps });
  exchange.dequeued(0, lease);
  return lease;
}

async function waitForLease(wait: Wait): Promise<Lease> {
  const { target, exchange, deps } = wait;
  const queuedAt = deps.clock.now();
  const waited = () => deps.clock.now() - queuedAt;
  try {
    const lease = await hold(deps.pool.acquire(target.model, hintsOf(target, exchange), exchange.signal), wait);
    exchange.dequeued(waited(), lease);
    return lease;
  } catch (error) {
    exchange.dequeued(waited());
    throw isAimError(error, "queue_full") ? comeBackApart(error, deps) : error;
  }
}

function hintsOf(target: Target, { requestId }: Exchange): RequestHints {
  const { hints, body, prompt, stream } = target;
  return { ...hints, requestId, bodyBytes: body.length, prompt, stream };
}

function comeBackApart(error: AimError, { random }: AcquireDeps): AimError {
  const { code, message, retryAfterMs = 0 } = error;
  return new AimError(code, message, { retryAfterMs: retryAfterMs * (1 + MOST_LATER * random.next()), cause: error });
}

interface Wait {
  readonly target: Target;
  readonly exchange: Exchange;
  readonly deps: AcquireDeps;
}

/** Waits for the lease; gives up by aborting the exchange, which the pool hears through the signal. */
async function hold(pending: Promise<Lease>, wait: Wait): Promise<Lease> {
  const { target, exchange, deps } = wait;
  const allowed = target.stream ? deps.settings.maxStreamHoldMs : deps.settings.maxHoldMs;
  const longest = Math.min(allowed, target.maxWaitMs);
  // A timer even where nothing is left: until it fires it is decided whether to start one, and so when to come back.
  const left = exchange.startedAt + longest - deps.clock.now();
  const limit = deps.clock.setTimer(Math.max(0, left), () => exchange.abort(stillLoading(wait)));
  exchange.waitsForStart = deps.pool.isColdStart(target.model);
  if (target.stream) exchange.keepAlive ??= startKeepAlive(wait);
  try {
    const lease = await pending;
    if (!exchange.isAborted) return lease;
    // Granted in the very moment the wait ended: nobody is there to use it.
    lease.release();
    throw exchange.abortReason;
  } finally {
    limit.cancel();
    if (!exchange.reply.held) exchange.stopKeepAlive();
  }
}

function startKeepAlive({ target, exchange, deps }: Wait): KeepAlive {
  return new KeepAlive(exchange.reply, {
    clock: deps.clock,
    firstHeartbeatMs: deps.settings.firstHeartbeatMs,
    heartbeatMs: deps.settings.heartbeatMs,
    progressMs: deps.settings.progressMs,
    isColdStart: () => deps.pool.isColdStart(target.model),
    describe: () =>
      exchange.phase === "queued" ? deps.pool.describeWait(target.model) : "waiting for the first token",
  });
}

function stillLoading({ target, deps }: Wait): AimError {
  const doing = deps.pool.describeWait(target.model);
  return new AimError("model_loading", `${target.model} is not ready yet (${doing}); ask again later`, {
    retryAfterMs: deps.pool.retryAfterMs(target.model),
  });
}
