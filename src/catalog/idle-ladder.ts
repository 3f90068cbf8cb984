// What a recipe says about idle replicas: when they sleep, when they are unloaded, and what of it cannot be meant.
import { formatDuration } from "../lib/units.ts";
import type { Finding } from "../lib/yaml-source.ts";
import { canSleep } from "./memory-flags.ts";
import type { Recipe, SleepStep } from "./recipe.ts";
import type { RecipeDraft } from "./recipe-schema.ts";

type Step = NonNullable<RecipeDraft["idle"]>[number];

/** The times of idleness in their normalised form. */
export function idleTimesOf(draft: RecipeDraft): Pick<Recipe, "keepAliveMs" | "sleep"> {
  const { idle, keepAlive = draft.ttl, sleepMemory } = draft;
  if (idle === undefined) return keepAlive === undefined ? {} : { keepAliveMs: keepAlive };
  const step = idle.find(isSleep);
  const keepAliveMs = idle.find(isStop)?.after ?? Infinity;
  if (step === undefined) return { keepAliveMs };
  const sleep: SleepStep = {
    afterMs: step.after,
    level: step.level ?? 1,
    ...(sleepMemory === undefined ? {} : { hostMemoryBytes: sleepMemory }),
  };
  return { keepAliveMs, sleep };
}

/** What is wrong with what a recipe says about idle replicas. */
export function checkIdle(draft: RecipeDraft): Finding[] {
  const { idle = [] } = draft;
  return [
    ...checkRivals(draft),
    ...idle.flatMap((step, index) => checkStep(step, index, idle)),
    ...idle.flatMap((step, index) => (isSleep(step) ? checkSleep(draft, index) : [])),
    ...checkSleepMemory(draft),
    ...checkPin(draft),
  ];
}

function isSleep(step: Step): boolean {
  return step.do === "sleep";
}

function isStop(step: Step): boolean {
  return step.do === "stop";
}

function checkRivals(draft: RecipeDraft): Finding[] {
  if (draft.keepAlive !== undefined && draft.ttl !== undefined)
    return [{ path: ["ttl"], message: '"ttl" is another name for "keepAlive"; give one of them' }];
  if (draft.idle === undefined) return [];
  const rivals = (["keepAlive", "ttl"] as const).filter((key) => draft[key] !== undefined);
  return rivals.map((key) => ({
    path: [key],
    at: "key",
    message: `"idle" says when a replica is unloaded; drop "${key}" and give "idle" a step with "do: stop"`,
  }));
}

function checkStep(step: Step, index: number, steps: readonly Step[]): Finding[] {
  const path = ["idle", index];
  const before = steps.slice(0, index);
  const previous = before.at(-1);
  const findings: Finding[] = [];
  if (before.some((other) => other.do === step.do))
    findings.push({
      path: [...path, "do"],
      message: `a step that does "${step.do}" is there already; give one of them`,
    });
  else if (before.some(isStop))
    findings.push({ path: [...path, "do"], message: "nothing is left to sleep after a stop; the sleep comes first" });
  if (previous !== undefined && step.after <= previous.after)
    findings.push({
      path: [...path, "after"],
      message: `expected more than the ${formatDuration(previous.after)} of the step before; all times count from the last request`,
    });
  if (isStop(step) && step.level !== undefined)
    findings.push({ path: [...path, "level"], at: "key", message: 'only a step with "do: sleep" has a level' });
  return findings;
}

function checkSleep({ engine, network }: RecipeDraft, index: number): Finding[] {
  if (!canSleep(engine)) {
    const message = `the engine "${engine}" cannot be put to sleep; vllm and sim can, others can only stop`;
    return [{ path: ["idle", index, "do"], message }];
  }
  if (network !== "host") return [];
  const why = "to be put to sleep, an engine opens routes that run whatever they are sent";
  const message = `${why}, and on the host's network anybody could reach them; drop "network: host", or the sleep step`;
  return [{ path: ["network"], message }];
}

function checkSleepMemory({ idle = [], sleepMemory, resources }: RecipeDraft): Finding[] {
  if (sleepMemory === undefined) return [];
  if (!idle.some((step) => isSleep(step) && (step.level ?? 1) === 1)) {
    const message =
      'only a sleeper of level 1 keeps its weights in the host\'s memory; give "idle" such a step, or drop this';
    return [{ path: ["sleepMemory"], at: "key", message }];
  }
  if (sleepMemory < (resources?.memory ?? Infinity)) return [];
  const message = "a sleeper's memory is part of resources.memory, which has to be more than this";
  return [{ path: ["sleepMemory"], message }];
}

/** What would unload a pinned replica for being idle is not meant. */
function checkPin({ pin, keepAlive, ttl, idle = [] }: RecipeDraft): Finding[] {
  if (pin !== true) return [];
  const why = '"pin" keeps a replica however long it is idle';
  const stop = idle.findIndex(isStop);
  return [
    ...(keepAlive === undefined ? [] : [{ path: ["keepAlive"], message: `${why}; drop "keepAlive"` }]),
    ...(ttl === undefined ? [] : [{ path: ["ttl"], message: `${why}; drop "ttl"` }]),
    ...(stop < 0 ? [] : [{ path: ["idle", stop], message: `${why}; drop the step with "do: stop"` }]),
  ];
}
