// Whatever the recipes, the machine and the wishes: a selection never contradicts a wish or what the machine has.
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Profile, Recipe, RuntimeName } from "../../src/catalog/recipe.ts";
import {
  likenessOf,
  matchesHardware,
  select,
  type RuntimeOffer,
  type Selection,
  type SelectRequest,
} from "../../src/catalog/select.ts";

type Chosen = Extract<Selection, { kind: "selected" }>;

// Few values of each, so that wishes and recipes often meet.
const ENGINES = ["vllm", "sglang"] as const;
const PRECISIONS = ["bf16", "fp8"] as const;
const RUNTIMES: readonly RuntimeName[] = ["docker", "kubernetes"];
const COUNTS = [0, 1, 2, 4, 8];
const PRODUCTS = ["MI300X", "MI250", "AMD Instinct MI325X"];

const profiles: fc.Arbitrary<Profile[]> = fc
  .tuple(fc.uniqueArray(fc.constantFrom(...COUNTS), { minLength: 1 }), fc.nat())
  .map(([counts, pick]) =>
    counts
      .sort((a, b) => a - b)
      .map((gpus, index) => ({
        id: `${gpus}_gpu`,
        gpus,
        args: [],
        env: {},
        isDefault: index === pick % counts.length,
      })),
  );

const recipe: fc.Arbitrary<Recipe> = fc
  .record(
    {
      id: fc.constantFrom("a", "b", "c", "d"),
      file: fc.constantFrom("one.yaml", "two.yaml"),
      model: fc.constantFrom("m", "m", "n"),
      engine: fc.constantFrom(...ENGINES),
      hardware: fc.uniqueArray(fc.constantFrom("MI300X", "MI250", "MI325X", "MI300X CPX"), { maxLength: 2 }),
      profiles,
      precision: fc.constantFrom(...PRECISIONS),
      runtime: fc.constantFrom(...RUNTIMES),
    },
    { requiredKeys: ["id", "file", "model", "engine", "hardware", "profiles"] },
  )
  .map((base) => ({
    ...base,
    hash: "h",
    aliases: [],
    replicas: { min: 0, max: 1 },
    resources: {},
    mounts: [],
    capabilities: [],
    network: "own" as const,
  }));

const recipes = fc.uniqueArray(recipe, { selector: ({ id }) => id, maxLength: 4 });

const gpu = fc.record(
  {
    product: fc.constantFrom(...PRODUCTS),
    free: fc.boolean(),
    partition: fc.constantFrom("CPX/NPS4", "SPX/NPS1"),
    memoryBytes: fc.constantFrom(64 * 2 ** 30, 192 * 2 ** 30),
  },
  { requiredKeys: ["product", "free"] },
);

const offer: fc.Arbitrary<RuntimeOffer> = fc
  .record({
    knowsGpus: fc.boolean(),
    gpus: fc.array(gpu, { maxLength: 24 }),
    isDown: fc.integer({ min: 0, max: 5 }).map((die) => die === 0),
  })
  .map(({ knowsGpus, gpus, isDown }) => ({ knowsGpus, gpus, ...(isDown ? { unavailable: "down" } : {}) }));
const offers = fc
  .uniqueArray(fc.tuple(fc.constantFrom(...RUNTIMES), offer), { selector: ([name]) => name, size: "+1" })
  .map((entries) => new Map(entries));

const model = fc.constant("m");
const request: fc.Arbitrary<SelectRequest> = fc.oneof(
  fc.record({ model }),
  fc.record({ model, gpus: fc.constantFrom(...COUNTS, 3) }),
  fc.record({ model, precision: fc.constantFrom(...PRECISIONS) }),
  fc.record({ model, engine: fc.constantFrom(...ENGINES), gpus: fc.constantFrom(...COUNTS) }),
  fc.record({ model, recipe: fc.constantFrom("a", "b", "c", "d", "e") }),
);

const situation = fc.record({ recipes, request, offers, fallback: fc.constantFrom(...RUNTIMES) });
type Situation = typeof situation extends fc.Arbitrary<infer T> ? T : never;

function answer({ recipes, request, offers, fallback }: Situation): Selection {
  return select(recipes, request, offers, fallback);
}

/** What in a selection goes against the wishes, the runtime or the machine. */
function contradictions({ request, offers, fallback }: Situation, chosen: Chosen): string[] {
  const { recipe, profile, runtime } = chosen;
  const place = offers.get(runtime);
  const suitable = place?.gpus.filter((one) => matchesHardware(recipe, one)) ?? [];
  const alike = [...Map.groupBy(suitable, likenessOf).values()].map((group) => group.length);
  const faults: Record<string, boolean> = {
    model: recipe.model !== request.model,
    recipe: recipe.id !== (request.recipe ?? recipe.id),
    engine: recipe.engine !== (request.engine ?? recipe.engine),
    precision: recipe.precision !== (request.precision ?? recipe.precision),
    gpus: profile.gpus !== (request.gpus ?? profile.gpus),
    "foreign profile": !recipe.profiles.includes(profile),
    runtime: runtime !== (recipe.runtime ?? fallback),
    unavailable: place === undefined || place.unavailable !== undefined,
    "too few GPUs": place?.knowsGpus === true && Math.max(0, ...alike) < profile.gpus,
  };
  return Object.keys(faults).filter((name) => faults[name]);
}

/** Recipes of the model that an answer neither chooses nor gives a reason for. */
function unexplained({ recipes, request }: Situation, selection: Selection): string[] {
  const own = recipes.filter(({ model }) => model === request.model).map(({ id }) => id);
  if (selection.kind === "ambiguous")
    return selection.recipes.map(({ id }) => id).filter((id) => !selection.why.includes(id));
  if (selection.kind === "rejected")
    return own.filter((id) => !selection.rejections.some(({ recipe }) => recipe === id));
  if (request.recipe !== undefined) return [];
  return own.filter(
    (id) => !selection.reasons.some((reason) => reason.startsWith(`recipe ${id}`) || reason.startsWith(`not ${id}`)),
  );
}

describe("select", () => {
  it("never returns what contradicts a wish, a runtime or the machine", () => {
    let selected = 0;
    fc.assert(
      fc.property(situation, (given) => {
        const selection = answer(given);
        if (selection.kind !== "selected") return true;
        selected++;
        return contradictions(given, selection).length === 0;
      }),
      { numRuns: 1_000 },
    );
    expect(selected, "selections among the runs, lest the property be empty").toBeGreaterThan(100);
  });

  it("is silent about nothing: each recipe of the model is chosen, tied or has its reason", () => {
    fc.assert(
      fc.property(situation, (given) => {
        expect(unexplained(given, answer(given))).toEqual([]);
      }),
      { numRuns: 1_000 },
    );
  });

  it("gives the same answer whatever is free just now", () => {
    const verdict = (selection: Selection) =>
      selection.kind === "selected" ? [selection.recipe.id, selection.profile.id] : selection;
    fc.assert(
      fc.property(situation, (given) => {
        const free = new Map(
          [...given.offers].map(([name, one]) => [
            name,
            { ...one, gpus: one.gpus.map((gpu) => ({ ...gpu, free: true })) },
          ]),
        );
        expect(verdict(answer({ ...given, offers: free }))).toEqual(verdict(answer(given)));
      }),
    );
  });
});
