// Sends a request to the replica it has a lease on, and owns the lease until the answer's last byte, error or abort.
import { Agent, buildConnector } from "undici";
import { AimError } from "../errors.ts";
import type { Clock } from "../lib/clock.ts";
import type { GatewaySettings } from "./deps.ts";
import type { Exchange } from "./exchange.ts";
import type { Lease, Outcome } from "./pool.ts";
import { Relay, type RelayEnd } from "./relay.ts";
import type { Target } from "./resolve.ts";

/** `unreachable`: no byte was sent, so another replica may be asked. */
export type ForwardEnd =
  | { readonly kind: "completed" }
  | { readonly kind: "unreachable" | "failed"; readonly error: AimError };

export type Forward = (target: Target, lease: Lease, exchange: Exchange) => Promise<ForwardEnd>;

/**
 * Its connections are its own, never undici's global ones. They need no closing: unused ones end after four seconds
 * (less than the five for which uvicorn keeps them open) and keep no process alive.
 */
export function createForward(settings: GatewaySettings, clock: Clock): Forward {
  const reused = new WeakSet<Error>();
  const pooled = createAgent(settings.connectTimeoutMs, { pipelining: 1, reused });
  const fresh = createAgent(settings.connectTimeoutMs, { pipelining: 0, reused });

  function send(agent: Agent, { target, lease, exchange }: Job): Promise<RelayEnd> {
    const relay = new Relay(exchange, clock, settings);
    const headers = ["content-type", "application/json", "x-request-id", exchange.requestId, ...target.headers];
    const { origin } = lease.address;
    agent.dispatch({ origin, path: exchange.route, method: "POST", headers, body: target.body }, relay);
    return relay.ended;
  }

  return async (target, lease, exchange) => {
    try {
      let end = await send(pooled, { target, lease, exchange });
      // A backend may close an idle connection just as a request goes out on it; on a new one that cannot happen.
      if (end.kind === "unanswered" && reused.has(end.error)) end = await send(fresh, { target, lease, exchange });
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

/** Remembers in `reused` the errors of connections that had answered before: only those can have been stale. */
function createAgent(
  connectTimeoutMs: number,
  { pipelining, reused }: { readonly pipelining: number; readonly reused: WeakSet<Error> },
): Agent {
  const connect = buildConnector({ timeout: connectTimeoutMs, allowH2: false });
  return new Agent({
    // How long a request may take is decided by the relay; undici's own limits would end slow generations.
    headersTimeout: 0,
    bodyTimeout: 0,
    pipelining,
    keepAliveTimeout: 4_000,
    connect: (options, callback) =>
      connect(options, (...result) => {
        const socket = result[1];
        socket?.on("error", (error) => {
          if (socket.bytesRead > 0) reused.add(error);
        });
        callback(...result);
      }),
  });
}

function outcomeOf(end: RelayEnd): Outcome {
  if (end.kind === "stopped") return { kind: "client_gone" };
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
