// How the GPUs are shared out between models: the keys of `scheduler`.
import { z } from "zod";
import { BALANCES } from "./catalog/recipe.ts";
import { duration, ending, lasting, size } from "./config-values.ts";
import { formatDuration } from "./lib/units.ts";

/** The keys, each with its default, and what holds between them. */
export const schedulerSchema = z
  .strictObject({
    minResidency: ending
      .prefault("7m30s")
      .describe(
        "Least time for which a model that is in use keeps its GPUs when another one wants them; eight times its load where that is shorter.",
      ),
    maxWait: ending
      .prefault("9m")
      .describe(
        "How long requests wait for a model that is in use to give way; after that it gets no new ones and is drained.",
      ),
    maxStarts: z.int().min(1).default(4).describe("Most replicas that load at the same time."),
    abortUnwanted: z
      .boolean()
      .default(true)
      .describe("Whether a load that nobody waits for any more is given up when another model needs its GPUs."),
    scaleUp: lasting
      .prefault("15s")
      .describe(
        "How long there must be more to do than the replicas of a model should have, before one more is started.",
      ),
    scaleDown: lasting.prefault("5m").describe("How long fewer replicas must have been enough, before one is drained."),
    sleepMemory: size
      .optional()
      .describe("Most of the host's memory that sleeping replicas may take together; half of it when absent."),
    keepAliveMax: duration
      .prefault("forever")
      .describe("Longest keep-alive that a request may ask for; what asks for more gets this."),
    balance: z
      .enum(BALANCES, { error: `expected one of ${BALANCES.join(", ")}` })
      .default("predicted-ttft")
      .describe("Which replica of a model a request goes to, where the recipe does not say: see `balance` of recipes."),
  })
  .superRefine(({ minResidency, maxWait }, context) => {
    if (maxWait >= minResidency) return;
    const [residency, wait] = [formatDuration(minResidency), formatDuration(maxWait)];
    const why = `a model in use keeps its GPUs for minResidency (${residency}), so nobody gets them after maxWait (${wait})`;
    // At no key: either of them may be the one that is not in the file.
    context.addIssue({ code: "custom", message: `${why}; give maxWait at least ${residency}, or lower minResidency` });
  });
