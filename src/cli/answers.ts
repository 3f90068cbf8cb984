// What the commands read of the admin API's answers: no more than they show, so that a newer gateway may say more.
import { z } from "zod";
import { EXIT } from "./exit-codes.ts";
import { CliError } from "./failure.ts";

const count = z.number().default(0);
const names = z.array(z.string()).default([]);

/** How a stream says that it failed after it had begun. */
const inBandError = z.object({ error: z.object({ message: z.string(), code: z.string().default("") }) });

const pullProgressAnswer = z.object({
  image: z.string(),
  doneBytes: count,
  totalBytes: z.number().optional(),
  layers: z
    .array(z.object({ id: z.string(), status: z.string(), doneBytes: count, totalBytes: z.number().optional() }))
    .default([]),
});

export const replicaAnswer = z.object({
  name: z.string(),
  model: z.string(),
  state: z.string(),
  reason: z.string().default(""),
  gpus: names,
  inFlight: count,
  startedAt: z.string().default(""),
  sleepsAt: z.string().optional(),
  idleUntil: z.string().optional(),
  keepAliveSeconds: z.number().optional(),
  pinned: z.boolean().default(false),
  gpuShare: z.number().optional(),
  sleepLevel: z.number().optional(),
  etaSeconds: z.number().optional(),
  pull: pullProgressAnswer.optional(),
});

export const replicasAnswer = z.object({ replicas: z.array(replicaAnswer) });

export const launchAnswer = z
  .object({
    replica: replicaAnswer,
    replicas: z.array(replicaAnswer).optional(),
    created: z.boolean(),
    reasons: names,
  })
  .transform(({ replica, replicas = [replica], ...rest }) => ({ replicas, ...rest }));

export const removedAnswer = z.object({ removed: names });

export const explanationAnswer = z.object({
  explanation: z.object({
    model: z.string(),
    verdict: z.enum(["serves", "wakes", "starts", "evicts", "waits", "refused"]),
    why: z.string().optional(),
    summary: z.string(),
    recipe: z.string().optional(),
    profile: z.string().optional(),
    runtime: z.string().optional(),
    image: z.string().optional(),
    argv: names,
    gpus: names,
    evicts: z.array(z.object({ replica: z.string(), reason: z.string() })).default([]),
    reasons: names,
  }),
});

const modelAnswer = z.object({
  model: z.string(),
  aliases: names,
  status: z.string(),
  reason: z.string().optional(),
  etaSeconds: z.number().optional(),
  lastLines: names,
  replicas: count,
  inFlight: count,
  waiting: count,
});

export const modelsAnswer = z.object({ models: z.array(modelAnswer) });

const recipeAnswer = z.object({
  id: z.string(),
  model: z.string(),
  engine: z.string(),
  runtime: z.string(),
  precision: z.string().default(""),
  hardware: names,
  profiles: z.array(z.object({ id: z.string().default(""), gpus: z.number(), default: z.boolean() })).default([]),
});

export const recipesAnswer = z.object({
  recipes: z.array(recipeAnswer),
  problems: z.array(z.object({ file: z.string(), message: z.string() })).default([]),
});

export const gpuAnswer = z.object({
  id: z.string(),
  number: z.number().optional(),
  product: z.string(),
  arch: z.string().default(""),
  partition: z.string().default(""),
  numaNode: z.number().optional(),
  status: z.string().default(""),
  reason: z.string().default(""),
  memoryBytes: z.number(),
  usedBytes: z.number().optional(),
  replica: z.string().default(""),
  holders: z.array(z.object({ replica: z.string(), state: z.string(), share: z.number() })).default([]),
});

export const gpusAnswer = z.object({ gpus: z.array(gpuAnswer) });

export const statsAnswer = z.object({
  stats: z.array(
    z.object({
      replica: z.string(),
      model: z.string(),
      cpuSeconds: count,
      memoryBytes: count,
      memoryLimitBytes: z.number().optional(),
      gpuMemoryBytes: z.number().optional(),
      gpuMemoryTotalBytes: count,
      inFlight: count,
      time: z.string(),
      problem: z.string().optional(),
    }),
  ),
});

export const doctorAnswer = z.object({
  checks: z.array(
    z.object({
      name: z.string(),
      status: z.enum(["ok", "warning", "problem"]),
      found: z.string(),
      fix: z.string().optional(),
    }),
  ),
});

export const showAnswer = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("replica"),
    replica: replicaAnswer.extend({
      recipe: z.string().default(""),
      profile: z.string().default(""),
      runtime: z.string().default(""),
      readyAt: z.string().optional(),
      backend: z.string().optional(),
      address: z.string().optional(),
      flags: names,
    }),
    details: z.object({
      image: z.string().optional(),
      imageId: z.string().optional(),
      argv: names,
      env: z.record(z.string(), z.string()).default({}),
      mounts: names,
      phases: z.array(z.object({ phase: z.string(), seconds: z.number() })).default([]),
      logFile: z.string().optional(),
    }),
  }),
  z.object({
    kind: z.literal("model"),
    model: modelAnswer,
    recipes: z.array(
      recipeAnswer.extend({
        file: z.string().default(""),
        notes: names,
        image: z.string().optional(),
        argv: z.record(z.string(), z.array(z.string())).default({}),
      }),
    ),
  }),
]);

export const eventAnswer = z.object({ time: z.string(), type: z.string(), message: z.string() });

export const eventsAnswer = z.object({ events: z.array(eventAnswer) });

export const versionAnswer = z.object({ version: z.string() });

/** A line of a log, or the reason why there are no more. */
export const logLineAnswer = z.union([z.object({ text: z.string() }), inBandError]);

/** A step of a pull, its end, or the reason why it failed. */
export const pullAnswer = z.union([
  pullProgressAnswer.extend({ kind: z.literal("progress") }),
  z.object({ kind: z.literal("done"), image: z.string() }),
  inBandError,
]);

export type ReplicaAnswer = z.infer<typeof replicaAnswer>;
export type ModelAnswer = z.infer<typeof modelAnswer>;
export type PullProgressAnswer = z.infer<typeof pullProgressAnswer>;
export type ExplanationAnswer = z.infer<typeof explanationAnswer>["explanation"];
export type GpuAnswer = z.infer<typeof gpuAnswer>;
export type StatsAnswer = z.infer<typeof statsAnswer>["stats"][number];
export type ShowAnswer = z.infer<typeof showAnswer>;
export type CheckAnswer = z.infer<typeof doctorAnswer>["checks"][number];

/** The answer in its shape; one that has another comes from something else, or from a gateway too far from our version. */
export function readAnswer<T>(schema: z.ZodType<T>, answer: unknown): T {
  const parsed = schema.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw new CliError(EXIT.failure, "the gateway's answer is not one that this version understands", {
    hint: 'Compare the versions with "aim-engine version".',
    cause: parsed.error,
  });
}
