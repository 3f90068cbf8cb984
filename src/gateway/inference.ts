// The main line of the data plane: read the request, resolve the model, acquire a lease, forward.
import { acquireLease } from "./acquire.ts";
import type { GatewayDeps } from "./deps.ts";
import { shuttingDown } from "./error-response.ts";
import { Exchange, type ExchangeInit } from "./exchange.ts";
import { createForward, type Forward } from "./forward.ts";
import { readRequest } from "./request.ts";
import { resolveModel } from "./resolve.ts";
import { RetryBudget } from "./retry-budget.ts";
import { UnderWay } from "./under-way.ts";

/** Serves one request to the end of its answer. Never rejects: a failure is told to the client and recorded, once. */
export type Inference = (init: ExchangeInit) => Promise<void>;

/** How many replicas are tried while they turn out to be unreachable. */
const MAX_ATTEMPTS = 3;

export function createInference(deps: GatewayDeps): Inference {
  const forward = createForward(deps.settings, deps.clock);
  const retries = new RetryBudget(deps.clock);
  const underWay = new UnderWay<Exchange>();
  deps.cutting.addEventListener("abort", () => underWay.all().forEach((exchange) => exchange.abort(shuttingDown())));
  return async (init) => {
    const exchange = new Exchange(init, deps);
    underWay.add(exchange);
    retries.noteRequest();
    try {
      await serve(exchange, deps, { forward, retries });
      exchange.finish();
    } catch (error) {
      exchange.finish(error);
    } finally {
      underWay.delete(exchange);
    }
  };
}

interface Line {
  readonly forward: Forward;
  readonly retries: RetryBudget;
}

async function serve(exchange: Exchange, deps: GatewayDeps, { forward, retries }: Line): Promise<void> {
  const { maxBodyBytes } = deps.settings;
  const request = await readRequest(exchange.downstream, { maxBodyBytes, client: exchange.client });
  const target = exchange.resolved(resolveModel(request, deps));
  for (let attempt = 1; ; attempt++) {
    const lease = await acquireLease(target, exchange, deps);
    const end = await forward(target, lease, exchange);
    if (end.kind === "completed") return;
    // Only where no connection could be made, so that nothing is generated twice.
    if (end.kind === "failed" || attempt === MAX_ATTEMPTS || !retries.tryTake()) throw end.error;
    exchange.retrying(attempt + 1);
  }
}
