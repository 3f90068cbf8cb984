// A launch spec is the runtime-neutral description of one replica to start: made here by a pure function, carried out by a driver.
import { AimError } from "../errors.ts";
import { whyNoProcess } from "./container-needs.ts";
import { defined } from "./defined.ts";
import { engineArgv, MODEL_PLACEHOLDER } from "./engine-argv.ts";
import { checkEnv } from "./env.ts";
import { mergeFlags, readFlags, toArgs } from "./flags.ts";
import { fromRegistry } from "./image.ts";
import { memoryEnv, whyMemoryIsWrong } from "./memory-flags.ts";
import type { Engine, Mount, Profile, PullPolicy, Recipe, RuntimeName } from "./recipe.ts";

export { HOST_PLACEHOLDER, PORT_PLACEHOLDER } from "./engine-argv.ts";
export type { Mount, PullPolicy, RuntimeName } from "./recipe.ts";

export interface LaunchSpec {
  /** Unique within the installation: [a-z0-9][a-z0-9.-]*. The driver derives the runtime's own name from it. */
  readonly replica: string;
  readonly runtime: RuntimeName;
  /** Container image; absent on the process runtime. */
  readonly image?: string;
  /** The whole command line, program first; never passed through a shell. */
  readonly argv: readonly string[];
  /** The whole environment of ours; the gateway's own is never forwarded. */
  readonly env: Readonly<Record<string, string>>;
  /** GPU identities (`Gpu.id`), in the order the engine sees them. */
  readonly gpus: readonly string[];
  /** Other replicas that may have the same GPUs at the same time: sharers, and those that sleep; absent: none. */
  readonly beside?: readonly string[];
  /** What kind of GPUs those are; absent without GPUs. */
  readonly gpuKind?: GpuKind;
  readonly pull: PullPolicy;
  readonly mounts: readonly Mount[];
  /** Linux capabilities beside the runtime's usual ones: "SYS_PTRACE". */
  readonly capabilities: readonly string[];
  /** `host`: no network of its own, hence a port that nobody else on the machine uses. */
  readonly network: "own" | "host";
  readonly resources: ResourceLimits;
  /** Everything needed to take the replica over after a restart; see `LABELS`. */
  readonly labels: Readonly<Record<string, string>>;
  readonly readiness: Readiness;
  /** How long it may take to end by itself when stopped. */
  readonly stopGraceMs: number;
}

/** The GPUs of one replica are alike. */
export interface GpuKind {
  readonly vendor: "amd" | "nvidia" | "none";
  /** "gfx942" */
  readonly arch?: string;
}

/** Bytes; absent means no limit of ours. */
export interface ResourceLimits {
  readonly memoryBytes?: number;
  readonly memorySwapBytes?: number;
  readonly shmBytes?: number;
  readonly cpus?: number;
}

/** Ready = `GET /health` is 200, `GET /v1/models` lists `servedModel`, and (where `warmUp`) one token was generated. */
export interface Readiness {
  readonly servedModel: string;
  readonly warmUp: boolean;
  /** From start to ready. */
  readonly timeoutMs: number;
}

/** The labels on every container, pod and process of ours: the only durable state. */
export const LABELS = {
  installation: "aim-engine.installation",
  schema: "aim-engine.schema",
  replica: "aim-engine.replica",
  model: "aim-engine.model",
  recipe: "aim-engine.recipe",
  recipeHash: "aim-engine.recipe-hash",
  profile: "aim-engine.profile",
  /** GPU ids, comma-separated; empty for none. */
  gpus: "aim-engine.gpus",
  /** Keep-alive in ms, or "forever", where the launch asked for its own. */
  keepAlive: "aim-engine.keep-alive",
  /** What the launch chose by itself: "name", "gpus", or both with a comma between. */
  chosen: "aim-engine.chosen",
  /** Engine flags that the launch added, as a JSON list. */
  flags: "aim-engine.flags",
  /** "true" where an operator launched it. */
  launched: "aim-engine.launched",
  /** "true" where its launch pinned it. */
  pinned: "aim-engine.pinned",
  /** Its share of each of its GPUs, "0.4"; absent: the whole of them. */
  share: "aim-engine.share",
} as const;

/** Version of the meaning of the labels. A running replica with another one is left alone. */
export const LABEL_SCHEMA = "1";

export interface LaunchInput {
  readonly replica: string;
  readonly installation: string;
  readonly recipe: Recipe;
  readonly profile: Profile;
  readonly runtime: RuntimeName;
  readonly gpus: readonly string[];
  readonly gpuKind?: GpuKind;
  readonly keepAliveMs?: number;
  /** Engine flags beside those of the profile, which they override. */
  readonly flags?: readonly string[];
  /** What the launch chose by itself; see `LABELS.chosen`. */
  readonly chosen?: readonly string[];
  /** An operator launched it. */
  readonly launched?: true;
  /** Its launch pinned it. */
  readonly pinned?: true;
  readonly defaults: LaunchDefaults;
}

/** What config.yaml says for recipes that do not. */
export interface LaunchDefaults {
  readonly images: Readonly<Partial<Record<Engine, string>>>;
  /** Where images without a registry of their own come from; absent: Docker's own. */
  readonly registry?: string | undefined;
  readonly startTimeoutMs: number;
  readonly stopGraceMs: number;
  readonly shmBytes: number;
  readonly pull: PullPolicy;
  /** Environment of every engine, below what its recipe says; the place for secrets such as HF_TOKEN. */
  readonly env: Readonly<Record<string, string>>;
  /** argv prefix that runs this very program, for the bundled sim engine on the process runtime. */
  readonly self: readonly string[];
}

/** The replica that a recipe and a profile describe, ready for a driver. Throws `invalid_recipe` when they cannot be launched. */
export function toLaunchSpec(input: LaunchInput): LaunchSpec {
  const { recipe, runtime, defaults } = input;
  if (runtime === "process") assertFitsProcess(recipe);
  const profile = withFlags(input.profile, input.flags ?? []);
  assertKeepsToShare(recipe, profile);
  const image = imageFor(recipe, runtime, defaults);
  return {
    replica: input.replica,
    runtime,
    ...(image === undefined ? {} : { image }),
    argv: engineArgv({ recipe, profile, runtime, self: defaults.self }),
    env: envOf(input),
    gpus: input.gpus,
    ...(input.gpuKind === undefined || input.gpus.length === 0 ? {} : { gpuKind: input.gpuKind }),
    pull: recipe.pull ?? defaults.pull,
    mounts: recipe.mounts,
    capabilities: recipe.capabilities,
    network: recipe.network,
    resources: {
      ...defined({ shmBytes: profile.gpus > 0 ? defaults.shmBytes : undefined }),
      ...recipe.resources,
    },
    labels: labelsOf(input),
    readiness: readinessOf(recipe, defaults),
    stopGraceMs: defaults.stopGraceMs,
  };
}

/** When a replica of a recipe is ready, be it that the recipe could start it or not. */
export function readinessOf(recipe: Recipe, { startTimeoutMs }: Pick<LaunchDefaults, "startTimeoutMs">): Readiness {
  return {
    servedModel: recipe.model,
    // Any program may be behind "openai", embedders and speech models too: it need not know how to complete text.
    warmUp: recipe.engine !== "openai",
    timeoutMs: recipe.startTimeoutMs ?? startTimeoutMs,
  };
}

/** The image that a recipe runs, in full; undefined where the runtime has none. Throws `invalid_recipe` when none is named. */
export function imageFor(recipe: Recipe, runtime: RuntimeName, defaults: LaunchDefaults): string | undefined {
  if (runtime === "process") return undefined;
  const image = recipe.image ?? defaults.images[recipe.engine];
  if (image !== undefined) return fromRegistry(image, defaults.registry);
  throw new AimError(
    "invalid_recipe",
    `recipe ${recipe.id} has no image for the ${runtime} runtime; give it "image:", or set images.${recipe.engine} in config.yaml`,
  );
}

/** Checked here too, since a recipe that names no runtime learns only now which one it is. */
function assertFitsProcess(recipe: Recipe): void {
  const why = whyNoProcess(recipe);
  if (why !== undefined) throw new AimError("invalid_recipe", `recipe ${recipe.id} cannot run as a process: ${why}`);
}

/** Checked here too, since a launch may bring flags of its own. */
function assertKeepsToShare(recipe: Recipe, profile: Profile): void {
  const why = whyMemoryIsWrong(recipe, profile);
  if (why !== undefined) throw new AimError("invalid_recipe", `recipe ${recipe.id}, profile ${profile.id}: ${why}`);
}

/** The flags of the launch over those of the profile, flag by flag. */
export function withFlags(profile: Profile, flags: readonly string[]): Profile {
  if (flags.length === 0) return profile;
  return { ...profile, args: toArgs(mergeFlags(readFlags(profile.args, []), readFlags(flags, []))) };
}

function envOf({ recipe, profile, runtime, gpus, gpuKind, defaults }: LaunchInput): Record<string, string> {
  const [forbidden] = checkEnv(profile.env, runtime, []);
  if (forbidden !== undefined) throw new AimError("invalid_recipe", `recipe ${recipe.id}: ${forbidden.message}`);
  const env = Object.entries(profile.env).map(([name, value]) => [
    name,
    value.replaceAll(MODEL_PLACEHOLDER, recipe.model),
  ]);
  return {
    ...defaults.env,
    // Longer than the gateway keeps idle connections, so that the engine never closes one that is being used.
    ...(recipe.engine === "vllm" ? { VLLM_HTTP_TIMEOUT_KEEP_ALIVE: "120" } : {}),
    ...memoryEnv(recipe),
    ...(runtime === "docker" && gpuKind?.vendor !== "nvidia" ? visibleDevices(gpus.length) : {}),
    ...Object.fromEntries(env),
  };
}

/**
 * Only the devices of the replica exist in its container, so they are numbered from 0 there. NVIDIA's runtime numbers its own
 * by itself, and where it is the default it would show all of them to images that ask for it.
 */
function visibleDevices(gpus: number): Record<string, string> {
  const none = { NVIDIA_VISIBLE_DEVICES: "void" };
  if (gpus === 0) return none;
  return { ...none, HIP_VISIBLE_DEVICES: Array.from({ length: gpus }, (_, index) => index).join(",") };
}

function labelsOf(input: LaunchInput): Record<string, string> {
  const { recipe, profile, replica, installation, gpus, keepAliveMs, flags = [], chosen = [] } = input;
  return {
    [LABELS.installation]: installation,
    [LABELS.schema]: LABEL_SCHEMA,
    [LABELS.replica]: replica,
    [LABELS.model]: recipe.model,
    [LABELS.recipe]: recipe.id,
    [LABELS.recipeHash]: recipe.hash,
    [LABELS.profile]: profile.id,
    [LABELS.gpus]: gpus.join(","),
    ...(keepAliveMs === undefined
      ? {}
      : { [LABELS.keepAlive]: keepAliveMs === Infinity ? "forever" : String(keepAliveMs) }),
    ...(chosen.length === 0 ? {} : { [LABELS.chosen]: chosen.join(",") }),
    ...(flags.length === 0 ? {} : { [LABELS.flags]: JSON.stringify(flags) }),
    ...(input.launched && { [LABELS.launched]: "true" }),
    ...(input.pinned && { [LABELS.pinned]: "true" }),
    ...(profile.gpuFraction !== undefined && { [LABELS.share]: String(profile.gpuFraction) }),
  };
}
