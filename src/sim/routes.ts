// Which path and method leads where. Paths that vLLM does not register for a generating model are not here.
import type { Core } from "./core.ts";
import { embeddings } from "./embeddings.ts";
import type { Api } from "./call.ts";
import { generate } from "./generate-route.ts";
import type { Exchange } from "./http.ts";
import { messagesApi } from "./messages.ts";
import { chatApi, completionsApi } from "./openai.ts";
import * as ops from "./ops.ts";
import { responsesApi } from "./responses.ts";

type Handler = (exchange: Exchange, core: Core) => void | Promise<void>;

interface Route {
  readonly handler: Handler;
  readonly kind: "inference" | "other";
}

const GENERATING: Readonly<Record<string, Api>> = {
  "/v1/chat/completions": chatApi,
  "/v1/completions": completionsApi,
  "/v1/responses": responsesApi,
  "/v1/messages": messagesApi,
};

const OPERATIONS: Readonly<Record<string, Handler>> = {
  "GET /health": ops.health,
  "GET /ping": ops.health,
  "POST /ping": ops.health,
  "GET /version": ops.version,
  "GET /metrics": ops.metrics,
  "GET /v1/models": ops.models,
  "POST /tokenize": ops.tokenize,
  "POST /v1/messages/count_tokens": ops.countTokens,
};

/** Registered only with VLLM_SERVER_DEV_MODE=1 and --enable-sleep-mode. */
const SLEEPING: Readonly<Record<string, Handler>> = {
  "POST /sleep": ops.sleep,
  "POST /wake_up": ops.wakeUp,
  "GET /is_sleeping": ops.isSleeping,
  "POST /reset_prefix_cache": ops.resetPrefixCache,
  "POST /collective_rpc": ops.collectiveRpc,
};

/** By "METHOD /path". */
export type Routes = ReadonlyMap<string, Route>;

/** The routes of one server. */
export function routesOf({ options }: Core): Routes {
  const other = { ...OPERATIONS, ...(options.devMode && options.sleepMode ? SLEEPING : {}) };
  return new Map<string, Route>([
    ...Object.entries(other).map(([key, handler]) => [key, { handler, kind: "other" }] as const),
    ...Object.entries(GENERATING).map(
      ([path, api]) =>
        [
          `POST ${path}`,
          { handler: (exchange: Exchange, core: Core) => generate(exchange, core, api), kind: "inference" },
        ] as const,
    ),
    ["POST /v1/embeddings", { handler: embeddings, kind: "inference" }],
  ]);
}
