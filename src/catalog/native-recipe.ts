// Our own recipe format: from checked YAML to a recipe, with the checks that span several fields.
import { basename, extname } from "node:path";
import { checkContainerNeeds } from "./container-needs.ts";
import { defined } from "./defined.ts";
import { checkEnv } from "./env.ts";
import { checkFlags, mergeFlags, readFlags, toArgs, whyParallelismIsWrong, type Flag } from "./flags.ts";
import { withHash } from "./hash.ts";
import { checkIdle, idleTimesOf } from "./idle-ladder.ts";
import { whyShareIsWrong, whySleepIsWrong } from "./memory-flags.ts";
import { gpuCount, type Reading } from "./reading.ts";
import type { Profile, Recipe } from "./recipe.ts";
import { RECIPE_ID, RECIPE_ID_RULE, recipeSchema, type RecipeDraft } from "./recipe-schema.ts";
import { checkSchema } from "../lib/schema-findings.ts";
import type { Finding } from "../lib/yaml-source.ts";

/** Reads what a file of our own format holds. */
export function readNativeRecipe(file: string, value: unknown): Reading {
  const { data, findings } = checkSchema(recipeSchema, value);
  if (data === undefined) return { recipes: [], findings };
  const id = data.id ?? basename(file, extname(file));
  const all = [
    ...findings,
    ...checkId(id),
    ...checkAcrossFields(data),
    ...Object.keys(data.profiles).flatMap((key) => checkProfile(data, key)),
  ];
  return all.length > 0 ? { recipes: [], findings: all } : { recipes: [toRecipe(file, id, data)], findings: [] };
}

function toRecipe(file: string, id: string, draft: RecipeDraft): Recipe {
  const { resources } = draft;
  return withHash({
    id,
    file,
    model: draft.model,
    aliases: [...new Set(draft.aliases)].filter((alias) => alias !== draft.model),
    engine: draft.engine,
    hardware: [draft.hardware ?? []].flat(),
    profiles: toProfiles(draft),
    replicas: toReplicas(draft),
    resources: defined({
      memoryBytes: resources?.memory,
      memorySwapBytes: resources?.memorySwap,
      shmBytes: resources?.shm,
      cpus: resources?.cpus,
    }),
    mounts: draft.mounts ?? [],
    capabilities: [...new Set(draft.capabilities)],
    network: draft.network ?? "own",
    ...defined({
      gpuMemoryBytes: draft.gpuMemory,
      pull: draft.pull,
      // The bundled engine needs no image, and an image that happens to have its name would be another program.
      runtime: draft.runtime ?? (draft.engine === "sim" ? "process" : undefined),
      image: draft.image,
      command: draft.command,
      precision: draft.precision,
      startTimeoutMs: draft.startTimeout,
      maxInFlight: draft.maxInFlight,
      balance: draft.balance,
      timeouts: toTimeouts(draft),
    }),
    ...(draft.preload && { preload: true }),
    ...(draft.pin && { pinned: true }),
    ...idleTimesOf(draft),
  });
}

function toReplicas({ replicas }: RecipeDraft): Recipe["replicas"] {
  const { min = 0, max = Math.max(1, min), target } = replicas ?? {};
  return { min, max, ...(target === undefined ? {} : { target }) };
}

function toTimeouts({ timeouts }: RecipeDraft): Recipe["timeouts"] {
  if (timeouts === undefined) return undefined;
  const { connect, firstByte, idle, total } = timeouts;
  return defined({
    connectTimeoutMs: connect,
    firstByteTimeoutMs: firstByte,
    idleTimeoutMs: idle,
    totalTimeoutMs: total,
  });
}

function toProfiles(draft: RecipeDraft): Profile[] {
  const ids = Object.keys(draft.profiles).sort((a, b) => gpuCount(a) - gpuCount(b));
  const defaultId = ids.find((id) => draft.profiles[id]?.default === true) ?? ids[0];
  return ids.map((id) => ({ ...toProfile(draft, id), isDefault: id === defaultId }));
}

function toProfile(draft: RecipeDraft, id: string): Omit<Profile, "isDefault"> {
  const { env, gpuFraction } = draft.profiles[id] ?? {};
  return {
    id,
    gpus: gpuCount(id),
    args: toArgs(flagsOf(draft, id)),
    env: Object.fromEntries(Object.entries({ ...draft.env, ...env }).map(([name, value]) => [name, String(value)])),
    ...defined({ gpuFraction }),
  };
}

function flagsOf(draft: RecipeDraft, profile: string): Flag[] {
  const own = draft.profiles[profile]?.args;
  return mergeFlags(
    readFlags(draft.args ?? {}, ["args"]),
    own === undefined ? [] : readFlags(own, ["profiles", profile, "args"]),
  );
}

function checkId(id: string): Finding[] {
  if (RECIPE_ID.test(id)) return [];
  return [{ path: ["id"], message: `the file name makes no recipe id; write "id:" with ${RECIPE_ID_RULE}` }];
}

function checkAcrossFields(draft: RecipeDraft): Finding[] {
  const { command, engine, resources, replicas, runtime } = draft;
  const faults: [boolean, readonly PropertyKey[], string][] = [
    [
      engine === "openai" && command === undefined,
      ["engine"],
      'the engine "openai" is any OpenAI-compatible server, so "command" must say how to start it',
    ],
    [
      engine === "openai" && command !== undefined && !mentionsPort(draft),
      ["command"],
      "the gateway picks the port; write {port} where the program takes it, in command, args or env",
    ],
    [(replicas?.min ?? 0) > (replicas?.max ?? Infinity), ["replicas", "min"], "min is greater than max"],
    [
      resources?.memorySwap !== undefined && resources.memorySwap < (resources.memory ?? Infinity),
      ["resources", "memorySwap"],
      "memorySwap counts memory and swap together: it needs a memory, and at least as much",
    ],
    [
      draft.startTimeout === 0 || draft.startTimeout === Infinity,
      ["startTimeout"],
      'expected a time that ends, such as "30m": every wait is bounded',
    ],
  ];
  return [
    ...faults.filter(([wrong]) => wrong).map(([, path, message]) => ({ path, message })),
    ...checkIdle(draft),
    ...checkContainerNeeds(draft),
    ...checkDefaults(draft),
    ...checkFlags(engine, readFlags(draft.args ?? {}, ["args"])),
    ...checkEnv(draft.env ?? {}, runtime, ["env"]),
  ];
}

function mentionsPort(draft: RecipeDraft): boolean {
  return JSON.stringify([draft.command, draft.args, draft.env, draft.profiles]).includes("{port}");
}

function checkDefaults(draft: RecipeDraft): Finding[] {
  const defaults = Object.keys(draft.profiles).filter((id) => draft.profiles[id]?.default === true);
  return defaults.slice(1).map((id) => ({
    path: ["profiles", id, "default"],
    message: `${defaults[0]} is the default already; a recipe has one`,
  }));
}

function checkProfile(draft: RecipeDraft, id: string): Finding[] {
  const { engine, runtime } = draft;
  const path = ["profiles", id];
  const { args = {}, env = {} } = draft.profiles[id] ?? {};
  const finding = (key: string, why: string | undefined): Finding[] =>
    why === undefined ? [] : [{ path: [...path, key], message: why }];
  const profile = toProfile(draft, id);
  return [
    ...checkFlags(engine, readFlags(args, [...path, "args"])),
    ...checkEnv(env, runtime, [...path, "env"]),
    ...finding("args", whyParallelismIsWrong(engine, profile.args, profile.gpus)),
    ...finding("gpuFraction", whyShareIsWrong(engine, profile)),
    ...finding("args", whySleepIsWrong(idleTimesOf(draft), { flags: flagsOf(draft, id), env: profile.env })),
  ];
}
