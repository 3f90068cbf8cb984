// Reads the body of POST /api/replicas: JSON only, strict, every problem of it named at once.
import type { Context } from "hono";
import { z } from "zod";
import { AimError } from "../errors.ts";
import { textAs } from "../lib/text-schema.ts";
import { parseDuration } from "../lib/units.ts";
import type { LaunchRequest } from "./view.ts";

const name = z.string().min(1).max(256);

const duration = textAs(parseDuration, 'expected a duration such as "30m", "1h30m" or "forever"');

const launchBody = z.strictObject({
  model: name,
  gpus: z.int().min(0).max(1024).exactOptional(),
  precision: name.exactOptional(),
  engine: name.exactOptional(),
  recipe: name.exactOptional(),
  keepAlive: duration.exactOptional(),
});

const FIELDS = Object.keys(launchBody.shape).join(", ");

/** A browser sends a form or text cross-site without asking first; JSON it does not, so JSON is demanded by its name. */
export async function readLaunchRequest(c: Context): Promise<LaunchRequest> {
  const type = c.req.header("content-type") ?? "";
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    throw new AimError("unsupported_media_type", "launching takes JSON: send Content-Type: application/json");
  }
  const parsed = launchBody.safeParse(parseJson(await c.req.text()));
  if (!parsed.success) throw invalidBody(parsed.error);
  const { keepAlive, ...request } = parsed.data;
  return keepAlive === undefined ? request : { ...request, keepAliveMs: keepAlive };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AimError("invalid_json", 'the body is not valid JSON; expected e.g. {"model":"demo"}', {
      cause,
    });
  }
}

function invalidBody(error: z.ZodError): AimError {
  const problems = error.issues.map((issue) => {
    const field = issue.path.join(".");
    return field === "" ? issue.message : `${field}: ${issue.message}`;
  });
  const param = error.issues[0]?.path.join(".") ?? "";
  const message = `${problems.join("; ")} (the fields are ${FIELDS})`;
  return new AimError("invalid_value", message, param === "" ? {} : { param });
}
