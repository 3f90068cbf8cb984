// Random worlds, and what may happen in them.
import fc from "fast-check";
import { makeGpus, makeProfile, makeRecipe } from "../../support/make.ts";
import type { Habits, World, WorldPlan } from "./world.ts";

const MINUTE = 60_000;
const MODELS = ["a", "b", "c", "d", "e"] as const;
const modelName = fc.constantFrom(...MODELS);

const habits: fc.Arbitrary<
  Habits & { readonly gpus: number; readonly share: number | undefined; readonly min: number }
> = fc.record({
  loadMs: fc.constantFrom(2_000, 30_000, 2 * MINUTE),
  serveMs: fc.constantFrom(5_000, 20_000, MINUTE),
  heat: fc.constantFrom(0.01, 1, 20),
  sleeps: fc.boolean(),
  isHot: fc.constantFrom(false, false, true),
  gpus: fc.constantFrom(1, 1, 2, 4),
  share: fc.constantFrom(undefined, undefined, 0.3, 0.5, 0.7),
  min: fc.constantFrom(0, 0, 0, 0, 1),
});

export const worlds: fc.Arbitrary<WorldPlan> = fc
  .record({
    models: fc.array(habits, { minLength: MODELS.length, maxLength: MODELS.length }),
    gpus: fc.integer({ min: 1, max: 4 }),
    maxStarts: fc.constantFrom(1, 2, 100),
    minResidencyMs: fc.constantFrom(0, MINUTE, 5 * MINUTE),
    maxWaitMs: fc.constantFrom(MINUTE, 8 * MINUTE),
    abortsUnwanted: fc.boolean(),
    sleepMemoryBytes: fc.constantFrom(0, 15, 1_000),
  })
  .map(({ models, gpus, ...policy }) => ({
    gpus: makeGpus(gpus),
    policy,
    habits: new Map(MODELS.map((id, index) => [id, models[index] ?? NONE])),
    recipes: MODELS.map((id, index) => {
      const { gpus: count, share, min } = models[index] ?? { ...NONE, gpus: 1, share: undefined, min: 0 };
      const profile = makeProfile(count, share === undefined ? {} : { gpuFraction: share });
      return makeRecipe({ id, profiles: [profile], replicas: { min, max: Math.max(1, min) } });
    }),
  }));

const NONE: Habits = { loadMs: MINUTE, serveMs: 1_000, heat: 0, sleeps: false, isHot: false };

/** One thing that happens to a world. */
export interface Incident {
  readonly words: string;
  happen(world: World): void;
}

export const incidents: fc.Arbitrary<readonly Incident[]> = fc.array(
  fc.oneof(
    fc.record({ model: modelName, count: fc.integer({ min: 1, max: 3 }) }).map(({ model, count }) => ({
      words: `${count} ask for ${model}`,
      happen: (world: World) => world.ask(model, count),
    })),
    modelName.map((model) => ({ words: `all leave ${model}`, happen: (world: World) => world.leave(model) })),
    fc.nat(5).map((index) => ({ words: `number ${index} dies`, happen: (world: World) => world.kill(index) })),
    fc.constantFrom(1_000, 20_000, MINUTE, 6 * MINUTE, 30 * MINUTE).map((ms) => ({
      words: `${ms} ms pass`,
      happen: (world: World) => world.pass(ms),
    })),
  ),
  { maxLength: 25 },
);
