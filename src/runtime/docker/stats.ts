// What Docker measures of a container, read into our words.
import { z } from "zod";
import type { ReplicaStats } from "../driver.ts";

const statsAnswer = z.object({
  // Empty for a container that does not run.
  memory_stats: z.object({
    usage: z.number().default(0),
    limit: z.number().optional(),
    stats: z.object({ inactive_file: z.number().optional(), total_inactive_file: z.number().optional() }).default({}),
  }),
  cpu_stats: z.object({ cpu_usage: z.object({ total_usage: z.number() }) }),
});

/** Undefined when it is no answer to `stats`. Without a limit of its own a container shows what the machine has. */
export function readStats(answer: unknown, machineBytes = Infinity): ReplicaStats | undefined {
  const parsed = statsAnswer.safeParse(answer);
  if (!parsed.success) return undefined;
  const { memory_stats: memory, cpu_stats: cpu } = parsed.data;
  // The page cache can be dropped at any time; cgroup v1 and v2 name it differently.
  const cache = memory.stats.total_inactive_file ?? memory.stats.inactive_file ?? 0;
  const { limit = 0 } = memory;
  return {
    memoryBytes: Math.max(0, memory.usage - cache),
    ...(limit > 0 && limit < machineBytes ? { memoryLimitBytes: limit } : {}),
    cpuSeconds: cpu.cpu_usage.total_usage / 1e9,
  };
}
