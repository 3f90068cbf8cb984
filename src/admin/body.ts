// Reads the bodies of POST requests: JSON only, strict, every problem of it named at once.
import type { Context } from "hono";
import { bodyLimit } from "hono/body-limit";
import { z } from "zod";
import { AimError } from "../errors.ts";
import { textAs } from "../lib/text-schema.ts";
import { parseDuration } from "../lib/units.ts";
import { whileConnected } from "./connection.ts";
import type { LaunchRequest } from "./view.ts";

const MAX_BODY_BYTES = 64 * 1024;
const MAX_REPLICAS = 64;

const name = z.string().min(1).max(256);

const duration = textAs(parseDuration, 'expected a duration such as "30m", "1h30m" or "forever"');

const launchBody = z.strictObject({
  model: name,
  gpus: z.int().min(0).max(1024).exactOptional(),
  precision: name.exactOptional(),
  engine: name.exactOptional(),
  recipe: name.exactOptional(),
  keepAlive: duration.exactOptional(),
  replicas: z.int().min(1).max(MAX_REPLICAS).exactOptional(),
  on: z.array(name).min(1).max(1024).exactOptional(),
  name: name.exactOptional(),
  flags: z.array(z.string().min(1).max(8192)).max(512).exactOptional(),
  pinned: z.boolean().exactOptional(),
  dryRun: z.boolean().exactOptional(),
});

const pullBody = z.strictObject({ name: z.string().min(1).max(1024) });

const limit = bodyLimit({
  maxSize: MAX_BODY_BYTES,
  onError: () => {
    throw new AimError("request_too_large", `a request takes at most ${MAX_BODY_BYTES} bytes`);
  },
});

/** Refuses a body beyond anything that is taken here. One of unknown length is read to its end to know. */
export function limitBody(c: Context, next: () => Promise<void>): Promise<Response | void> {
  return whileConnected(c, limit(c, next));
}

/** The body of POST /api/replicas; `dryRun` asks only what would happen. */
export async function readLaunch(c: Context): Promise<{ readonly request: LaunchRequest; readonly dryRun: boolean }> {
  const { keepAlive, dryRun = false, ...rest } = await readBody(c, launchBody, '{"model":"demo"}');
  return { dryRun, request: keepAlive === undefined ? rest : { ...rest, keepAliveMs: keepAlive } };
}

/** The body of POST /api/pull: a model, or an image. */
export async function readPull(c: Context): Promise<string> {
  return (await readBody(c, pullBody, '{"name":"demo"}')).name;
}

/** A browser sends a form or text cross-site without asking first; JSON it does not, so JSON is demanded by its name. */
async function readBody<T>(c: Context, schema: z.ZodObject & z.ZodType<T>, example: string): Promise<T> {
  const type = c.req.header("content-type") ?? "";
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    throw new AimError("unsupported_media_type", `${c.req.path} takes JSON: send Content-Type: application/json`);
  }
  const parsed = schema.safeParse(parseJson(await whileConnected(c, c.req.text()), example));
  if (!parsed.success) throw invalidBody(parsed.error, Object.keys(schema.shape));
  return parsed.data;
}

function parseJson(text: string, example: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AimError("invalid_json", `the body is not valid JSON; expected e.g. ${example}`, { cause });
  }
}

function invalidBody(error: z.ZodError, fields: readonly string[]): AimError {
  const problems = error.issues.map((issue) => {
    const field = issue.path.join(".");
    return field === "" ? issue.message : `${field}: ${issue.message}`;
  });
  const param = error.issues[0]?.path.join(".") ?? "";
  const message = `${problems.join("; ")} (the fields are ${fields.join(", ")})`;
  return new AimError("invalid_value", message, param === "" ? {} : { param });
}
