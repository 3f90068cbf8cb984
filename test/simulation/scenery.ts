// What a simulated gateway has to work with: GPUs, recipes of all kinds, settings. The seed decides.
import type { Recipe } from "../../src/catalog/recipe.ts";
import type { ControlPlaneSettings } from "../../src/control/plane.ts";
import type { Gpu } from "../../src/runtime/driver.ts";
import { makeGpus, makeProfile, makeRecipe } from "../support/make.ts";
import type { Seeded } from "./seeded.ts";

/** Who has part in a story: on a calm sea nothing breaks and nobody interferes. */
export type Mood = "calm" | "stormy";

export interface Scenery {
  readonly mood: Mood;
  readonly gpus: readonly Gpu[];
  readonly recipes: readonly Recipe[];
  readonly settings: Partial<ControlPlaneSettings>;
  /** Of the memory of its GPUs, what an engine keeps in its sleep. */
  readonly residualShare: number;
}

/** No replica may be kept for longer than that without being used, whatever requests and launches ask for. */
export const MOST_KEPT_MS = 60_000;
/** How long a request is held. */
export const HOLD_MS = 120_000;
/** An engine that has work and does none is replaced after so long. */
export const PROGRESS_MS = 60_000;

const sharing = (gpuFraction: number) => ({ profiles: [makeProfile(1, { gpuFraction })] });

/** Whole machines and parts of cards, kept and unloaded at once, with little room and with much, and one that never works. */
const POOL: readonly Recipe[] = [
  makeRecipe({ id: "whale", gpus: 4 }),
  makeRecipe({ id: "orca", gpus: 4, replicas: { min: 0, max: 2 } }),
  makeRecipe({ id: "shark", gpus: 2, keepAliveMs: 20_000 }),
  makeRecipe({ id: "tuna", gpus: 2, maxInFlight: 2 }),
  makeRecipe({ id: "eel", gpus: 1, keepAliveMs: 5_000 }),
  makeRecipe({ id: "crab", maxInFlight: 1 }),
  makeRecipe({ id: "coral", gpus: 1, replicas: { min: 1, max: 2 } }),
  makeRecipe({ id: "turtle", gpus: 1, pinned: true }),
  makeRecipe({ id: "salmon", gpus: 1, preload: true, keepAliveMs: 15_000 }),
  makeRecipe({ id: "herring", gpus: 1, maxInFlight: 4, replicas: { min: 0, max: 3, target: 2 } }),
  makeRecipe({ id: "krill", ...sharing(0.5), keepAliveMs: 15_000, replicas: { min: 0, max: 3 } }),
  makeRecipe({ id: "shrimp", ...sharing(0.4), keepAliveMs: 10_000 }),
  makeRecipe({ id: "seal", gpus: 2, sleep: { afterMs: 3_000, level: 1, hostMemoryBytes: 2 ** 30 } }),
  makeRecipe({ id: "walrus", gpus: 4, sleep: { afterMs: 8_000, level: 2 } }),
  makeRecipe({ id: "lemming", profiles: [makeProfile(1, { env: { AIM_SIM_CRASH_BEFORE_READY: "0.05" } })] }),
];
/** With few a lot happens to each; with many they are in each other's way. */
const LEAST_CAST = 3;
const MOST_CAST = 6;

export function setScene(random: Seeded): Scenery {
  const mood = random.upTo(4) === 0 ? "calm" : "stormy";
  const cast = POOL.filter(({ id }) => mood === "stormy" || id !== "lemming");
  const size = LEAST_CAST + random.upTo(MOST_CAST - LEAST_CAST);
  while (cast.length > size) cast.splice(random.upTo(cast.length - 1), 1);
  return {
    mood,
    gpus: makeGpus(random.upTo(4) + 4),
    recipes: cast,
    residualShare: random.one([0.02, 0.05, 0.3]),
    settings: {
      keepAliveMs: 40_000,
      keepAliveMaxMs: MOST_KEPT_MS,
      recoveryMs: 20_000,
      progressMs: PROGRESS_MS,
      waiters: { maxPerModel: random.one([5, 30]), maxTotal: 100, maxBytes: 2 ** 30 },
      scheduling: {
        minResidencyMs: random.one([0, 10_000, 60_000]),
        maxWaitMs: random.one([5_000, 30_000]),
        maxStarts: random.one([1, 2, 8]),
        abortsUnwanted: random.upTo(2) > 0,
        sleepMemoryBytes: random.one([0, 2 ** 40]),
      },
      scaling: { upMs: 5_000, downMs: 30_000 },
    },
  };
}
