// Sends a request to the replica it has a lease on, and owns the lease until the answer's last byte, error or abort.
import { AimError } from "../errors.ts";
import type { Clock } from "../lib/clock.ts";
import type { GatewaySettings } from "./deps.ts";
import type { Exchange } from "./exchange.ts";
import type { Lease, Outcome } from "./pool.ts";
import { Relay, type RelayEnd } from "./relay.ts";
import type { Target } from "./resolve.ts";
import { Upstream } from "./upstream/upstream.ts";
import { Watch } from "./watch.ts";

/** `unreachable`: no byte was sent, so another replica may be asked. */
export type ForwardEnd =
  | { readonly kind: "completed" }
  | { readonly kind: "unreachable" | "failed"; readonly error: AimError };

export type Forward = (target: Target, lease: Lease, exchange: Exchange) => Promise<ForwardEnd>;

export function createForward(settings: GatewaySettings, clock: Clock): Forward {
  const upstream = new Upstream({ clock, idleMs: settings.upstreamIdleMs });
  const watch = new Watch(clock);

  function send({ target, lease, exchange }: Job, fresh = false): Promise<RelayEnd> {
    const limits = target.timeouts ?? settings;
    const relay = new Relay(exchange, limits, { clock, watch });
    const { address } = lease;
    const headers = ["content-type", "application/json", "x-request-id", exchange.requestId, ...target.headers];
    const { connectTimeoutMs } = limits;
    const call = { address, path: exchange.route, headers, body: target.body, fresh, connectTimeoutMs };
    relay.begin(upstream.send(call, relay));
    return relay.ended;
  }

  return async (target, lease, exchange) => {
    const job = { target, lease, exchange };
    try {
      let end = await send(job);
      // A backend may close an idle connection just as a request goes out on it; on a new one that cannot happen. But it may
      // also have died of the request: what follows may be another replica, and then is the last one that this can happen to.
      if (end.kind === "unanswered" && end.stale && exchange.mayResend()) end = await send(job, true);
      lease.report(outcomeOf(end));
      return forwardEnd(end);
    } finally {
      lease.release();
    }
  };
}

interface Job {
  readonly target: Target;
  readonly lease: Lease;
  readonly exchange: Exchange;
}

const CLIENT_GONE: Outcome = { kind: "client_gone" };

function outcomeOf(end: RelayEnd): Outcome {
  if (end.kind === "stopped") return CLIENT_GONE;
  if (end.kind === "unanswered") return { kind: "broken", error: end.error };
  return end;
}

function forwardEnd(end: RelayEnd): ForwardEnd {
  if (end.kind === "completed") return end;
  if (end.kind === "unreachable") return { kind: "unreachable", error: noConnection(end.error) };
  return { kind: "failed", error: end.kind === "unanswered" ? noAnswer(end.error) : end.error };
}

function noConnection(cause: Error): AimError {
  return new AimError("bad_gateway", "no replica of the model could be reached", { cause });
}

function noAnswer(cause: Error): AimError {
  return new AimError("bad_gateway", "the backend closed the connection without an answer", { cause });
}
