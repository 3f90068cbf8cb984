// A launch spec is the runtime-neutral description of one replica to start: made here by a pure function, carried out by a driver.
import { AimError } from "../errors.ts";
import type { Engine, Profile, Recipe, RuntimeName } from "./recipe.ts";

export type { RuntimeName } from "./recipe.ts";

/** Placeholders in `argv` and `env` values; the driver fills them in, since only it knows where the replica will listen. */
export const HOST_PLACEHOLDER = "{host}";
export const PORT_PLACEHOLDER = "{port}";

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
  readonly resources: ResourceLimits;
  /** Everything needed to take the replica over after a restart; see `LABELS`. */
  readonly labels: Readonly<Record<string, string>>;
  readonly readiness: Readiness;
  /** How long it may take to end by itself when stopped. */
  readonly stopGraceMs: number;
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
} as const;

/** Version of the meaning of the labels. A replica with a newer one is left alone. */
export const LABEL_SCHEMA = "1";

export interface LaunchInput {
  readonly replica: string;
  readonly installation: string;
  readonly recipe: Recipe;
  readonly profile: Profile;
  readonly runtime: RuntimeName;
  readonly gpus: readonly string[];
  readonly keepAliveMs?: number;
  readonly defaults: LaunchDefaults;
}

/** What config.yaml says for recipes that do not. */
export interface LaunchDefaults {
  readonly images: Readonly<Partial<Record<Engine, string>>>;
  readonly startTimeoutMs: number;
  readonly stopGraceMs: number;
  readonly shmBytes: number;
  /** argv prefix that runs this very program, for the bundled sim engine on the process runtime. */
  readonly self: readonly string[];
}
