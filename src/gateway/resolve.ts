// From the name a client used to the model it means, and the body as the backend shall see it.
import type { ModelId } from "../catalog/recipe.ts";
import { AimError } from "../errors.ts";
import type { GatewayDeps } from "./deps.ts";
import type { InferenceRequest } from "./request.ts";

/** What to ask of whom. */
export interface Target {
  readonly model: ModelId;
  readonly headers: readonly string[];
  readonly body: Buffer;
  readonly stream: boolean;
}

/** Throws `model_not_found` for a name that no recipe knows. */
export function resolveModel(request: InferenceRequest, catalog: Pick<GatewayDeps, "resolve" | "nearest">): Target {
  const found = catalog.resolve(request.model);
  if (found === undefined) throw modelNotFound(request.model, catalog);
  const body = found.model === request.model ? request.body : withModel(request, found.model);
  return { model: found.model, headers: request.headers, body, stream: request.stream };
}

/** The one message about an unknown name, wherever it was used. */
export function modelNotFound(name: string, catalog: Pick<GatewayDeps, "nearest">): AimError {
  const nearest = catalog.nearest(name);
  const hint = nearest === undefined ? "" : `; did you mean "${nearest}"?`;
  return new AimError("model_not_found", `there is no model "${name}"${hint} (GET /v1/models lists all there are)`, {
    param: "model",
  });
}

/** Only the bytes of the value change: writing the JSON anew could alter numbers and the order of keys. */
function withModel(request: InferenceRequest, model: ModelId): Buffer {
  const { body, modelSpan } = request;
  return Buffer.concat([
    body.subarray(0, modelSpan.start),
    Buffer.from(JSON.stringify(model)),
    body.subarray(modelSpan.end),
  ]);
}
