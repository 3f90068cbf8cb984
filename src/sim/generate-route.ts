// The way of every generating endpoint: read the request, start the generation, stop it when the client leaves.
import type { Api, Call, CallContext } from "./call.ts";
import type { Core } from "./core.ts";
import { Generation } from "./generation.ts";
import { type Exchange, readFields, sendJson } from "./http.ts";
import { bodySink, streamSink } from "./sink.ts";
import { type Fields, WireError } from "./wire.ts";

/** Answers with a stream or a body once the whole request has arrived. */
export async function generate(exchange: Exchange, core: Core, api: Api): Promise<void> {
  const { response } = exchange;
  const call = readCall(await readFields(exchange), exchange, core, api);
  if (call === undefined || response.destroyed) return;
  if (core.options.logRequests) core.log.info("APIServer", `Received request ${call.id}.`);
  const generation = new Generation(call, {
    engine: core.engine,
    sink: call.stream ? streamSink(response, call.dialect) : bodySink(response, api, call.dialect),
    faults: exchange.faults,
    model: core.options.names[0] ?? core.options.model,
  });
  response.once("close", () => {
    if (generation.abort()) core.log.info("APIServer", `Aborted request ${call.id}.`);
  });
  generation.start();
}

function readCall(fields: Fields, exchange: Exchange, core: Core, api: Api): Call | undefined {
  try {
    return api.read(fields, contextOf(exchange, core));
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    sendJson(exchange.response, error.status, api.refusal(error));
    return undefined;
  }
}

/** What reading any request needs to know of this server. */
export function contextOf({ requestId }: Exchange, core: Core): CallContext {
  const { names, promptTokensDetails, forceIncludeUsage } = core.options;
  return {
    names,
    maxModelLength: core.maxModelLength,
    promptTokensDetails,
    forceIncludeUsage,
    created: Math.floor(core.clock.wallNow() / 1000),
    requestId,
  };
}
