// From the name a client used to the model it means, and the body as the backend shall see it.
import type { ModelId, Timeouts } from "../catalog/recipe.ts";
import { AimError } from "../errors.ts";
import type { GatewayDeps } from "./deps.ts";
import type { Hints } from "./hints.ts";
import type { Prompt } from "./pool.ts";
import type { InferenceRequest } from "./request.ts";
import { type Edit, spliced } from "./splice.ts";

/** What to ask of whom. */
export interface Target {
  readonly model: ModelId;
  readonly headers: readonly string[];
  readonly body: Buffer;
  readonly stream: boolean;
  readonly hints: Hints;
  readonly prompt: Prompt;
  /** How long it would wait for a replica, in ms. */
  readonly maxWaitMs: number;
  /** Limits of its own; absent: those that hold for all. */
  readonly timeouts: Timeouts | undefined;
}

/** Throws `model_not_found` for a name that no recipe knows. */
export function resolveModel(request: InferenceRequest, catalog: Pick<GatewayDeps, "resolve" | "nearest">): Target {
  const found = catalog.resolve(request.model);
  if (found === undefined) throw modelNotFound(request.model, catalog);
  const { headers, stream, hints, maxWaitMs, prompt } = request;
  const { model, timeouts } = found;
  return { model, headers, body: bodyFor(model, request), stream, hints, prompt, maxWaitMs, timeouts };
}

/** The one message about an unknown name, wherever it was used. */
export function modelNotFound(name: string, catalog: Pick<GatewayDeps, "nearest">): AimError {
  const nearest = catalog.nearest(name);
  const hint = nearest === undefined ? "" : `; did you mean "${nearest}"?`;
  return new AimError("model_not_found", `there is no model "${name}"${hint} (GET /v1/models lists all there are)`, {
    param: "model",
  });
}

/** What it says in the model's own name, and without what only the gateway understands. */
function bodyFor(model: ModelId, request: InferenceRequest): Buffer {
  const { body, modelSpan, keepAliveSpan } = request;
  const edits: Edit[] = [];
  if (model !== request.model) edits.push({ span: modelSpan, text: JSON.stringify(model) });
  if (keepAliveSpan !== undefined) edits.push({ span: keepAliveSpan, text: "" });
  return spliced(body, edits);
}
