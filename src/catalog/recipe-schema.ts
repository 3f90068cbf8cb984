// The YAML of our own recipe format as a zod schema: what may be written, and the words that say so.
import { z } from "zod";
import { textAs } from "../lib/text-schema.ts";
import { parseDuration, parseSize } from "../lib/units.ts";
import { isImageId, parseImage } from "./image.ts";
import { parseMount } from "./mount.ts";
import { parsePrecision } from "./precision.ts";
import { BALANCES, ENGINES, PRECISIONS, PULL_POLICIES, RUNTIMES } from "./recipe.ts";

const DURATION = 'expected a duration such as "90s", "15m", "1h30m" or "forever"';
const SIZE = 'expected a size such as "512m" or "64g"';

/** What a client may call a model: no spaces, no control characters, and never what a program would take for a flag. */
export const modelName = z
  .string({ error: 'expected a model name such as "Qwen/Qwen3-32B"' })
  .regex(/^[\w./][\w./:@+-]{0,127}$/, {
    error: 'expected a model name: up to 128 letters, digits and "._-/:@+", not beginning with "-"',
  });

export const imageName = z
  .string({ error: "expected an image such as name:tag" })
  .refine((text) => parseImage(text) !== undefined || isImageId(text), {
    error: 'expected an image such as "registry.example/name:tag", in lower case',
  });

/** "SYS_PTRACE", also written "CAP_SYS_PTRACE". Never all of them: nobody needs that. */
export const capability = textAs((text) => {
  const plain = text.replace(/^CAP_/, "");
  return /^[A-Z][A-Z_]*$/.test(plain) && plain !== "ALL" ? plain : undefined;
}, 'expected a capability such as "SYS_PTRACE"; each by its name');

/** A recipe's id becomes part of container and pod names. */
export const RECIPE_ID = /^[a-z0-9][a-z0-9.-]{0,39}$/;
export const RECIPE_ID_RULE = 'up to 40 lower-case letters, digits, "." and "-", beginning with a letter or digit';

const word = z.string({ error: "expected text" }).min(1, { error: "expected text, found nothing" });
const duration = textAs(parseDuration, DURATION);
const ending = textAs((text) => {
  const ms = parseDuration(text);
  return ms === Infinity ? undefined : ms;
}, 'expected a time that ends, such as "5m" or "1h"; leave out the step that is never to come');
const limit = textAs((text) => parseDuration(text) || undefined, 'expected a time such as "30s", "15m" or "forever"');
const size = textAs((text) => parseSize(text) || undefined, SIZE);

/** A number that its digits in the file determine; a longer one would come out changed. */
export const exactNumber = z.number().refine((value) => !Number.isInteger(value) || Number.isSafeInteger(value), {
  error: "too long a number to be read exactly; put it in quotes",
});
const wholeNumber = (min: number) =>
  z.int({ error: "expected a whole number" }).min(min, { error: `expected a whole number, ${min} or more` });

const flagValue = z.union([z.string(), exactNumber, z.boolean(), z.array(z.union([z.string(), exactNumber]))], {
  error: "expected text, a number, true, false or a list",
});
const flagKey = z.string().regex(/^-{0,2}[A-Za-z][\w.-]*$/, { error: 'expected a flag such as "--max-model-len"' });
const args = z.union([z.record(flagKey, flagValue), z.array(z.string({ error: "expected text in quotes" }))], {
  error: 'expected a map of flags to values, or a list such as ["--max-model-len", "8192"]',
});

const envName = z.string().regex(/^[A-Za-z_]\w*$/, { error: "expected the name of an environment variable" });
const envValue = z.union([z.string(), exactNumber, z.boolean()], {
  error: "expected text, a number, true or false",
});
const env = z.record(envName, envValue, { error: "expected a map of names to values" });

const yesOrNo = z.boolean({ error: "expected true or false" });

const SHARE =
  "expected a share of each GPU such as 0.4: more than 0, and less than 1, which is the whole and the default";
const share = z.number({ error: SHARE }).gt(0, { error: SHARE }).lt(1, { error: SHARE });

const profile = z.strictObject(
  {
    args: args.optional(),
    env: env.optional(),
    default: yesOrNo.optional(),
    gpuFraction: share
      .optional()
      .describe("Share of each GPU, the rest of which others may use; the whole when absent."),
  },
  { error: "expected a map with args, env, default or gpuFraction; write {} when the profile adds nothing" },
);
const profileId = z.string().regex(/^(0|[1-9]\d?)_gpu$/, {
  error: 'expected a GPU count such as "1_gpu" or "8_gpu" ("0_gpu" for engines that need none)',
});

const PRECISION = `expected one of ${PRECISIONS.join(", ")}`;
const precision = textAs(parsePrecision, PRECISION);

const idleStep = z.strictObject(
  {
    after: ending.describe("Idle time, counted from the last request."),
    do: z.enum(["sleep", "stop"]).describe("Give back the GPUs' memory without ending, or unload."),
    level: z
      .literal([1, 2])
      .optional()
      .describe("1 keeps the weights in the host's memory, 2 drops them; 1 when absent."),
  },
  { error: 'expected a step such as "{ after: 5m, do: sleep }"' },
);

const resources = z.strictObject(
  {
    memory: size.optional().describe("Most memory of one replica; no limit when absent."),
    memorySwap: size.optional().describe("Memory and swap together, at least as much as memory."),
    shm: size.optional().describe("Size of /dev/shm."),
    cpus: z.number({ error: "expected a number of CPUs" }).positive({ error: "expected more than 0 CPUs" }).optional(),
  },
  { error: "expected a map with memory, memorySwap, shm or cpus" },
);

const timeouts = z.strictObject(
  {
    connect: limit.optional().describe("Connecting to a replica."),
    firstByte: limit.optional().describe("From the request to the first byte of its answer."),
    idle: limit.optional().describe("Silence within an answer."),
    total: limit.optional().describe("From the request to the last byte of its answer."),
  },
  { error: "expected a map with connect, firstByte, idle or total" },
);

export const recipeSchema = z.strictObject(
  {
    id: z
      .string({ error: "expected text" })
      .regex(RECIPE_ID, { error: `expected ${RECIPE_ID_RULE}` })
      .optional()
      .describe("Name of the recipe; that of the file when absent."),
    model: modelName.describe("The Hugging Face id, which is also the name that clients send."),
    aliases: z
      .array(modelName, { error: "expected a list of names" })
      .optional()
      .describe("Other names for the model."),
    engine: z.enum(ENGINES).describe("The inference software."),
    runtime: z.enum(RUNTIMES).optional().describe("Where replicas run; the default of config.yaml when absent."),
    image: imageName.optional().describe("Container image; the one of config.yaml for this engine when absent."),
    command: z
      .array(word, { error: "expected a list: the program, then its arguments" })
      .min(1, { error: "expected a program" })
      .optional()
      .describe("Program and first arguments instead of the engine's own. {host}, {port} and {model} are filled in."),
    hardware: z
      .union([word, z.array(word)], { error: 'expected a GPU product such as "MI300X", or a list of them' })
      .optional()
      .describe(
        "GPUs it may run on: products (`MI300X`), partitions (`MI300X CPX`) or architectures (`gfx942`); any whole card when absent.",
      ),
    gpuMemory: size.optional().describe("Least memory of each GPU."),
    pull: z
      .enum(PULL_POLICIES, { error: `expected one of ${PULL_POLICIES.join(", ")}` })
      .optional()
      .describe(
        "When the image is fetched: missing (if it is not there), always (before each start) or never; docker.pull of config.yaml when absent.",
      ),
    mounts: z
      .array(textAs(parseMount, 'expected a mount such as "/srv/models:/models:ro" or "volume:/data"'), {
        error: "expected a list of mounts",
      })
      .optional()
      .describe("Folders and volumes beside the cache; policy.mounts of config.yaml has to allow them."),
    capabilities: z
      .array(capability, {
        error: "expected a list of capabilities",
      })
      .optional()
      .describe("Linux capabilities; policy.capabilities of config.yaml has to allow them."),
    network: z
      .enum(["own", "host"], { error: "expected own or host" })
      .optional()
      .describe(
        "`host`: the host's network instead of one of its own; policy.hostNetwork of config.yaml has to allow it.",
      ),
    precision: precision.optional().describe("Numeric precision of the weights."),
    args: args.optional().describe("Engine flags of every profile."),
    env: env.optional().describe("Environment of every profile."),
    profiles: z
      .record(profileId, profile, { error: 'expected a map such as "1_gpu: {}"' })
      .refine((profiles) => Object.keys(profiles).length > 0, {
        error: 'expected at least one profile, such as "1_gpu: {}"',
      })
      .describe("Settings by GPU count; they override those of the recipe."),
    keepAlive: duration.optional().describe("Idle time before a replica is unloaded."),
    ttl: duration.optional().describe("Another name for keepAlive."),
    idle: z
      .array(idleStep, { error: 'expected a list of steps such as "{ after: 1h, do: stop }"' })
      .min(1, { error: 'expected at least one step such as "{ after: 1h, do: stop }"' })
      .optional()
      .describe("What an idle replica does, and when, instead of keepAlive; it is never unloaded without a stop."),
    sleepMemory: size
      .optional()
      .describe("Memory of the host that a sleeper of level 1 takes; as much as it had of its GPUs' when absent."),
    preload: yesOrNo.optional().describe("Whether it is started with the gateway."),
    pin: yesOrNo
      .optional()
      .describe("Whether its replicas are neither unloaded for being idle nor stopped to make room for others."),
    replicas: z
      .strictObject(
        {
          min: wholeNumber(0).optional().describe("So many are kept running; 0 when absent."),
          max: wholeNumber(1).optional().describe("There are no more than these; 1, or as many as min, when absent."),
          target: wholeNumber(1)
            .optional()
            .describe("Requests per replica, waiting ones included, beyond which one more is worth having."),
        },
        { error: "expected a map with min, max and target" },
      )
      .optional()
      .describe("How many replicas there may be; 0 to 1 when absent."),
    resources: resources.optional().describe("Limits of one replica."),
    startTimeout: duration.optional().describe("Longest time from start to ready."),
    maxInFlight: wholeNumber(1)
      .optional()
      .describe("Most requests in flight on one replica; as many as come when absent."),
    balance: z
      .enum(BALANCES, { error: `expected one of ${BALANCES.join(", ")}` })
      .optional()
      .describe(
        "Which replica a request goes to: predicted-ttft (where its answer should begin soonest), least-in-flight, session (where the same `x-session-id` was served last) or round-robin; scheduler.balance of config.yaml when absent.",
      ),
    timeouts: timeouts
      .optional()
      .describe(
        "Limits of one request; those of config.yaml when absent. Where several recipes serve a model, the longest of each counts.",
      ),
  },
  { error: "expected a map with at least model, engine and profiles" },
);

/** A recipe as written, after the checks of single fields. */
export type RecipeDraft = z.output<typeof recipeSchema>;

/** The JSON Schema of our recipe format, for editors. */
export function recipeJsonSchema(): Record<string, unknown> {
  return { ...z.toJSONSchema(recipeSchema, { io: "input" }), title: "AIM Engine recipe" };
}
