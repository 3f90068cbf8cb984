// What the commands read of the admin API's answers: no more than they show, so that a newer gateway may say more.
import { z } from "zod";
import { EXIT } from "./exit-codes.ts";
import { CliError } from "./failure.ts";

const count = z.number().default(0);
const names = z.array(z.string()).default([]);

export const replicaAnswer = z.object({
  name: z.string(),
  model: z.string(),
  state: z.string(),
  reason: z.string().default(""),
  gpus: names,
  inFlight: count,
  startedAt: z.string().default(""),
  idleUntil: z.string().optional(),
});

export const replicasAnswer = z.object({ replicas: z.array(replicaAnswer) });

export const launchAnswer = z.object({
  replica: replicaAnswer,
  created: z.boolean(),
  reasons: names,
});

const modelAnswer = z.object({
  model: z.string(),
  aliases: names,
  status: z.string(),
  reason: z.string().optional(),
  lastLines: names,
  replicas: count,
  inFlight: count,
  waiting: count,
});

export const modelsAnswer = z.object({ models: z.array(modelAnswer) });

export const recipesAnswer = z.object({
  recipes: z.array(
    z.object({
      id: z.string(),
      model: z.string(),
      engine: z.string(),
      runtime: z.string(),
      precision: z.string().default(""),
      hardware: names,
      profiles: z.array(z.object({ gpus: z.number(), default: z.boolean() })).default([]),
    }),
  ),
  problems: z.array(z.object({ file: z.string(), message: z.string() })).default([]),
});

export const gpusAnswer = z.object({
  gpus: z.array(
    z.object({
      id: z.string(),
      runtime: z.string(),
      product: z.string(),
      memoryBytes: z.number(),
      usedBytes: z.number().optional(),
      replica: z.string().default(""),
      model: z.string().default(""),
    }),
  ),
});

export const eventAnswer = z.object({ time: z.string(), type: z.string(), message: z.string() });

export const eventsAnswer = z.object({ events: z.array(eventAnswer) });

export const versionAnswer = z.object({ version: z.string() });

/** A line of a log, or the reason why there are no more. */
export const logLineAnswer = z.union([
  z.object({ text: z.string() }),
  z.object({ error: z.object({ message: z.string() }) }),
]);

export type ReplicaAnswer = z.infer<typeof replicaAnswer>;
export type ModelAnswer = z.infer<typeof modelAnswer>;

/** The answer in its shape; one that has another comes from something else, or from a gateway too far from our version. */
export function readAnswer<T>(schema: z.ZodType<T>, answer: unknown): T {
  const parsed = schema.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw new CliError(EXIT.failure, "the gateway's answer is not one that this version understands", {
    hint: 'Compare the versions with "aim-engine version".',
    cause: parsed.error,
  });
}
