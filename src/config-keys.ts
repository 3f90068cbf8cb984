// The API keys of config.yaml, and what is granted to who has one.
import { z } from "zod";

const SHORT = "expected a key of at least 8 characters";
/** What keys without a name are called, by their place. */
const PLACE_NAME = /^key-\d+$/;

const secret = z.string({ error: SHORT }).min(8, { error: SHORT });

const keyWithRights = z.strictObject({
  key: secret.describe("The key itself; use ${NAME} to take it from the environment."),
  name: z
    .string()
    .regex(/^[\w.-]{1,40}$/, "expected up to 40 letters, digits, '.', '_' or '-'")
    .refine((name) => !PLACE_NAME.test(name), "names such as key-1 are those of keys without one; choose another")
    .optional()
    .describe("What logs call it; keys of one name share their turn."),
  weight: z.int().min(1).max(100).default(1).describe("How many of its waiting requests are served in its turn."),
  priority: z
    .enum(["high", "normal", "low"])
    .default("normal")
    .describe("Priority of its requests, which may ask for a lower one only."),
  mayStart: z
    .boolean()
    .default(true)
    .describe(
      "Whether it may start a model that does not run, by a request or a launch; otherwise that is refused, and so is whatever changes what runs.",
    ),
});

/** A plain text is a key that may do everything. */
const apiKey = z.union([secret, keyWithRights], {
  error: "expected a key in quotes, or a map with key, name, weight, priority or mayStart",
});

type ApiKey = z.output<typeof apiKey>;

/** All keys, each there once, those of one name agreeing on the turn that they share. */
export const keysSchema = z.array(apiKey).superRefine((keys, context) => {
  for (const [index, entry] of keys.entries()) {
    const wrong = whyRepeated(entry, keys.slice(0, index)) ?? whyAtOdds(entry, keys.slice(0, index));
    if (wrong !== undefined) context.addIssue({ code: "custom", path: [index, ...wrong.path], message: wrong.message });
  }
});

interface Fault {
  readonly path: readonly string[];
  readonly message: string;
}

/** The key itself is never part of a message. */
function whyRepeated(entry: ApiKey, before: readonly ApiKey[]): Fault | undefined {
  const first = before.findIndex((other) => textOf(other) === textOf(entry));
  if (first < 0) return undefined;
  return { path: typeof entry === "string" ? [] : ["key"], message: `this key is apiKeys.${first} already; drop one` };
}

function whyAtOdds(entry: ApiKey, before: readonly ApiKey[]): Fault | undefined {
  if (typeof entry === "string" || entry.name === undefined) return undefined;
  const sharer = before.find((other) => typeof other !== "string" && other.name === entry.name);
  if (sharer === undefined || typeof sharer === "string" || sharer.weight === entry.weight) return undefined;
  const remedy = "give both the same weight, or another name to one";
  return {
    path: ["weight"],
    message: `keys of one name share their turn, and another "${entry.name}" has weight ${sharer.weight}; ${remedy}`,
  };
}

function textOf(entry: ApiKey): string {
  return typeof entry === "string" ? entry : entry.key;
}
