// The main line of the data plane: read the request, resolve the model, acquire a lease, forward.
import { acquireLease } from "./acquire.ts";
import type { GatewayDeps } from "./deps.ts";
import { shuttingDown } from "./error-response.ts";
import { Exchange, type ExchangeInit } from "./exchange.ts";
import { createForward, type Forward, type ForwardEnd } from "./forward.ts";
import { readRequest } from "./request.ts";
import { resolveModel } from "./resolve.ts";

/** Serves one request to the end of its answer. Never rejects: a failure is told to the client and recorded, once. */
export type Inference = (init: ExchangeInit) => Promise<void>;

/** How many replicas are tried while they turn out to be unreachable. */
const MAX_ATTEMPTS = 3;

export function createInference(deps: GatewayDeps): Inference {
  const forward = createForward(deps.settings, deps.clock);
  const underWay = new Set<Exchange>();
  deps.cutting.addEventListener("abort", () => underWay.forEach((exchange) => exchange.abort(shuttingDown())));
  return async (init) => {
    const exchange = new Exchange(init, deps);
    underWay.add(exchange);
    try {
      await serve(exchange, deps, forward);
      exchange.finish();
    } catch (error) {
      exchange.finish(error);
    } finally {
      underWay.delete(exchange);
    }
  };
}

async function serve(exchange: Exchange, deps: GatewayDeps, forward: Forward): Promise<void> {
  const { maxBodyBytes } = deps.settings;
  const request = await readRequest(exchange.incoming, { maxBodyBytes, client: exchange.client });
  const target = exchange.resolved(resolveModel(request, deps));
  await untilReached(exchange, async () => {
    const lease = await acquireLease(target, exchange, deps);
    return forward(target, lease, exchange);
  });
}

/** Tries again only where not one byte was sent to a backend, so that nothing is ever generated twice. */
async function untilReached(exchange: Exchange, attempt: () => Promise<ForwardEnd>): Promise<void> {
  for (let attempts = 1; ; attempts++) {
    const end = await attempt();
    if (end.kind === "completed") return;
    if (end.kind === "failed" || attempts === MAX_ATTEMPTS) throw end.error;
    exchange.retrying();
  }
}
