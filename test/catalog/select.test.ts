// Choosing a recipe: what is asked for is honoured or refused with a reason, and a tie is for people to break.
import { describe, expect, it } from "vitest";
import type { GpuTraits } from "../../src/catalog/hardware.ts";
import { select, type RuntimeOffer, type SelectRequest } from "../../src/catalog/select.ts";
import type { Recipe, RuntimeName } from "../../src/catalog/recipe.ts";
import { recipeOf, recipesOf } from "./read.ts";

const MODEL = "acme/m";

const GIB = 2 ** 30;

/** "8 MI300X, 3 free" */
function gpus(product: string, total: number, free = total, traits: Partial<GpuTraits> = {}): RuntimeOffer["gpus"] {
  return Array.from({ length: total }, (_, index) => ({ product, free: index < free, ...traits }));
}

function docker(...some: RuntimeOffer["gpus"][]): ReadonlyMap<RuntimeName, RuntimeOffer> {
  return new Map([["docker", { knowsGpus: true, gpus: some.flat() }]]);
}

const eightMi300x = docker(gpus("AMD Instinct MI300X", 8));

function recipe(id: string, rest = "", profiles = "{ 1_gpu: {}, 2_gpu: {}, 4_gpu: {}, 8_gpu: {} }"): Recipe {
  return recipeOf(`id: ${id}\nmodel: ${MODEL}\nengine: vllm\nprofiles: ${profiles}\n${rest}`, `${id}.yaml`);
}

function choose(recipes: readonly Recipe[], wishes: Omit<SelectRequest, "model"> = {}, offers = eightMi300x) {
  const selection = select(recipes, { model: MODEL, ...wishes }, offers, "docker");
  if (selection.kind === "rejected") return `rejected: ${selection.why}`;
  if (selection.kind === "ambiguous") return `ambiguous: ${selection.recipes.map(({ id }) => id).join(", ")}`;
  return `${selection.recipe.id}/${selection.profile.id} on ${selection.runtime}`;
}

function reasons(recipes: readonly Recipe[], wishes: Omit<SelectRequest, "model"> = {}, offers = eightMi300x) {
  const selection = select(recipes, { model: MODEL, ...wishes }, offers, "docker");
  return selection.kind === "selected" ? selection.reasons : [selection.why];
}

/** On a runtime that places replicas itself. */
function far(recipe: Recipe): Recipe {
  return { ...recipe, runtime: "kubernetes" };
}

describe("within a recipe", () => {
  const any = recipe("any");

  it("takes the default profile", () => {
    expect(choose([any])).toBe("any/1_gpu on docker");
    expect(choose([recipe("four", "", "{ 1_gpu: {}, 4_gpu: { default: true } }")])).toBe("four/4_gpu on docker");
  });

  it("takes exactly the GPU count asked for, not the first profile", () => {
    for (const count of [1, 2, 4, 8]) expect(choose([any], { gpus: count })).toBe(`any/${count}_gpu on docker`);
  });

  it("refuses a GPU count that it has no profile for, rather than taking another", () => {
    expect(choose([any], { gpus: 3 })).toBe("rejected: it has no profile for 3 GPUs, only for 1, 2, 4, 8");
  });

  it("speaks of one GPU as of one", () => {
    expect(reasons([any], { gpus: 1 })).toContain("profile 1_gpu: 1 GPU was asked for");
    const four = recipe("four", "", "{ 4_gpu: {} }");
    expect(choose([four], { gpus: 1 })).toBe("rejected: it has no profile for 1 GPU, only for 4");
  });

  it("refuses more GPUs than the machine has, rather than clamping", () => {
    expect(choose([any], { gpus: 8 }, docker(gpus("MI300X", 4)))).toBe(
      "rejected: it needs 8 GPUs of one kind, and this machine has 4 MI300X to give",
    );
  });

  it("takes the largest profile that fits where the default does not, and says so", () => {
    const big = recipe("big", "hardware: MI300X", "{ 1_gpu: {}, 2_gpu: {}, 8_gpu: { default: true } }");
    const four = docker(gpus("MI300X", 4));
    expect(choose([big], {}, four)).toBe("big/2_gpu on docker");
    expect(reasons([big], {}, four)).toContain(
      "profile 2_gpu: the largest that fits this machine; the default 8_gpu does not",
    );
  });

  it("counts GPUs that are taken, since they can become free, and says what is missing now", () => {
    const busy = docker(gpus("MI300X", 8, 2));
    expect(choose([any], { gpus: 4 }, busy)).toBe("any/4_gpu on docker");
    expect(reasons([any], { gpus: 4 }, busy)).toEqual([
      "recipe any, on docker, the default runtime",
      "profile 4_gpu: 4 GPUs were asked for",
      "2 of 8 MI300X are free",
    ]);
  });

  it("never spreads a replica over GPUs of different kinds", () => {
    const mixed = docker(gpus("MI300X", 4), gpus("MI325X", 4));
    const either = recipe("either", "hardware: [MI300X, MI325X]", "{ 8_gpu: {} }");
    expect(choose([either], {}, mixed)).toBe(
      "rejected: it needs 8 MI300X or 8 MI325X, and this machine has 4 MI300X and 4 MI325X to give",
    );
  });

  it("needs no GPU for a profile without", () => {
    expect(choose([recipe("cpu", "hardware: MI300X", "{ 0_gpu: {} }")], {}, docker())).toBe("cpu/0_gpu on docker");
  });
});

describe("explicit wishes", () => {
  const bf16 = recipe("m-bf16", "precision: bf16");
  const fp8 = recipe("m-fp8", "precision: fp8");

  it("a precision picks its recipe", () => {
    expect(choose([bf16, fp8], { precision: "fp8" })).toBe("m-fp8/1_gpu on docker");
  });

  it("a precision that no recipe has is refused, never replaced by another", () => {
    expect(choose([bf16], { precision: "fp16" })).toBe("rejected: its precision is bf16, and fp16 was asked for");
    expect(choose([recipe("m")], { precision: "fp16" })).toContain("its precision is not said, and fp16 was asked for");
  });

  it("an engine that no recipe has is refused", () => {
    expect(choose([bf16], { engine: "sglang" })).toContain("its engine is vllm, and sglang was asked for");
  });

  it("a recipe id decides, and an unknown one is told the others", () => {
    expect(choose([bf16, fp8], { recipe: "m-bf16" })).toBe("m-bf16/1_gpu on docker");
    expect(choose([bf16, fp8], { recipe: "m-int4" })).toBe("rejected: it has no recipe m-int4, only m-bf16 and m-fp8");
  });

  it("a recipe that cannot run is the one that is explained", () => {
    expect(choose([bf16, fp8], { recipe: "m-bf16", gpus: 3 })).toBe(
      "rejected: it has no profile for 3 GPUs, only for 1, 2, 4, 8",
    );
  });

  it("wishes apply together", () => {
    expect(choose([bf16, fp8], { precision: "fp8", gpus: 4 })).toBe("m-fp8/4_gpu on docker");
  });
});

describe("hardware", () => {
  it("is divided: each kind is counted for itself, and who names no division is told of it", () => {
    const cpx = gpus("MI300X", 16, 16, { partition: "CPX/NPS4", memoryBytes: 24 * GIB });
    const machine = docker(cpx, gpus("MI300X", 6, 6, { memoryBytes: 191.98 * GIB }));
    expect(choose([recipe("m", "hardware: MI300X", "{ 8_gpu: {} }")], {}, machine)).toBe(
      'rejected: it needs 8 MI300X, and this machine has 16 MI300X CPX/NPS4 (divided; hardware "MI300X CPX" takes such) and 6 MI300X to give',
    );
    const divided = recipe("m", "hardware: MI300X CPX", "{ 8_gpu: {} }");
    expect(reasons([divided], {}, machine)).toContain("16 of 16 MI300X CPX/NPS4 are free");
    expect(choose([recipe("m", "hardware: MI300X DPX", "{ 1_gpu: {} }")], {}, machine)).toBe(
      "rejected: it needs 1 MI300X DPX, and this machine has 16 MI300X CPX/NPS4 (divided otherwise) and 6 MI300X (not divided) to give",
    );
    expect(choose([recipe("m", "", "{ 1_gpu: {} }")], {}, docker(cpx))).toBe(
      'rejected: it needs 1 GPU, and this machine has 16 MI300X CPX/NPS4 (divided; hardware "MI300X CPX" takes such) to give',
    );
  });

  it("that is too small is said to be, and cards of two sizes are two kinds", () => {
    const machine = docker(
      gpus("MI210", 2, 2, { memoryBytes: 64 * GIB }),
      gpus("MI210", 1, 1, { memoryBytes: 32 * GIB }),
    );
    expect(choose([recipe("m", "gpuMemory: 48g", "{ 4_gpu: {} }")], {}, machine)).toBe(
      "rejected: it needs 4 GPUs of one kind with at least 48 GiB each, " +
        "and this machine has 2 MI210 of 64 GiB and 1 MI210 of 32 GiB (too small: 32 GiB) to give",
    );
    expect(choose([recipe("m", "", "{ 3_gpu: {} }")], {}, machine)).toContain("rejected: it needs 3 GPUs of one kind");
  });

  it("asked for by architecture names that of what there is", () => {
    const machine = docker(gpus("MI300X", 8, 8, { arch: "gfx942" }), gpus("W7900", 1));
    expect(choose([recipe("m", "hardware: gfx950")], {}, machine)).toContain(
      "it needs 1 gfx950, and this machine has 8 MI300X (gfx942) and 1 W7900 (of unknown architecture) to give",
    );
  });

  it("is checked: a recipe for other GPUs is refused with what there is", () => {
    const mi250 = recipe("m-mi250", "hardware: MI250");
    expect(choose([mi250])).toBe("rejected: it needs 1 MI250, and this machine has 8 AMD Instinct MI300X to give");
    expect(choose([mi250], {}, docker())).toContain("it needs 1 MI250, and this machine has no GPUs");
  });

  it("prefers the recipe made for it to one for any", () => {
    const recipes = [recipe("general"), recipe("special", "hardware: MI300X")];
    expect(choose(recipes)).toBe("special/1_gpu on docker");
    expect(reasons(recipes)).toContain("not general: it is for any hardware, and there is a recipe for this one");
    expect(choose(recipes, {}, docker(gpus("MI210", 1)))).toBe("general/1_gpu on docker");
  });

  it("picks between recipes for different GPUs without a tie", () => {
    const recipes = [recipe("m-mi250", "hardware: MI250"), recipe("m-mi300x", "hardware: MI300X")];
    expect(choose(recipes)).toBe("m-mi300x/1_gpu on docker");
    expect(reasons(recipes)).toContain(
      "not m-mi250/1_gpu: it needs 1 MI250, and this machine has 8 AMD Instinct MI300X to give",
    );
  });
});

describe("runtimes", () => {
  it("that cannot be used reject with their own reason", () => {
    const offers = new Map<RuntimeName, RuntimeOffer>([
      ["docker", { unavailable: "cannot reach Docker", knowsGpus: true, gpus: [] }],
    ]);
    expect(choose([recipe("m")], {}, offers)).toBe("rejected: cannot reach Docker");
  });

  it("that are not set up say so, and nothing falls back to another", () => {
    expect(choose([far(recipe("m"))])).toContain("it runs on kubernetes, which is not set up here");
  });

  it("that pick GPUs themselves are trusted to have them", () => {
    const offers = new Map<RuntimeName, RuntimeOffer>([["kubernetes", { knowsGpus: false, gpus: [] }]]);
    const remote = far(recipe("m", "hardware: MI300X"));
    expect(choose([remote], { gpus: 8 }, offers)).toBe("m/8_gpu on kubernetes");
    expect(reasons([remote], {}, offers)).toEqual(["recipe m, on kubernetes", "profile 1_gpu: the recipe's default"]);
  });
});

describe("between recipes that are equally good", () => {
  it("nothing is chosen, and the answer names both and how to choose", () => {
    const tie = [recipe("m-bf16", "precision: bf16"), recipe("m-fp8", "precision: fp8")];
    expect(choose(tie)).toBe("ambiguous: m-bf16, m-fp8");
    expect(reasons(tie)).toEqual([
      "it can be served by m-bf16 (bf16, vllm) and m-fp8 (fp8, vllm), which are equally good here; choose with --precision or --recipe",
    ]);
    expect(reasons([recipe("one"), recipe("two")])[0]).toMatch(/choose with --recipe$/);
  });

  it("vllm is preferred to sglang of the same file, unless an engine is asked for", () => {
    const both = recipesOf(
      `recipe_id: r\nmodel_id: ${MODEL}\nhuggingface_id: ${MODEL}\nhardware: MI300X\nprecision: bf16\nvllm_serve: { 1_gpu: {} }\nsglang_serve: { 1_gpu: {}, 2_gpu: {} }`,
    );
    expect(choose(both)).toBe("r/1_gpu on docker");
    expect(reasons(both)).toContain("not r-sglang: where no engine is asked for, vllm is preferred to sglang");
    expect(choose(both, { engine: "sglang" })).toBe("r-sglang/1_gpu on docker");
    expect(choose(both, { gpus: 2 })).toBe("r-sglang/2_gpu on docker");
  });

  it("sglang of another file is a tie", () => {
    const other = recipeOf(`id: s\nmodel: ${MODEL}\nengine: sglang\nprofiles: { 1_gpu: {} }`, "s.yaml");
    expect(choose([recipe("m"), other])).toBe("ambiguous: m, s");
  });
});

describe("a rejection", () => {
  it("lists every candidate with its own reason", () => {
    const recipes = [recipe("m-mi250", "hardware: MI250", "{ 1_gpu: {}, 2_gpu: {} }"), far(recipe("m-far"))];
    const selection = select(recipes, { model: MODEL }, eightMi300x, "docker");
    expect(selection).toEqual({
      kind: "rejected",
      rejections: [
        {
          recipe: "m-mi250",
          profile: "1_gpu",
          why: "it needs 1 MI250, and this machine has 8 AMD Instinct MI300X to give",
        },
        {
          recipe: "m-mi250",
          profile: "2_gpu",
          why: "it needs 2 MI250, and this machine has 8 AMD Instinct MI300X to give",
        },
        { recipe: "m-far", why: "it runs on kubernetes, which is not set up here" },
      ],
      why: "none of its recipes can be used: m-mi250: it needs 1 MI250, and this machine has 8 AMD Instinct MI300X to give; m-far: it runs on kubernetes, which is not set up here",
    });
  });

  it("of a model without recipes says just that", () => {
    expect(choose([])).toBe("rejected: it has no recipe");
  });
});
