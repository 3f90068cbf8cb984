// The existing AIM recipe format (recipe_id, huggingface_id, vllm_serve, …), read from unmodified files.
import { createHash } from "node:crypto";
import { z } from "zod";
import { checkFlags, readFlags, toArgs, whyParallelismIsWrong, whyReserved, type Flag } from "./flags.ts";
import { translate } from "./aim-flags.ts";
import { withHash } from "./hash.ts";
import { parsePrecision } from "./precision.ts";
import { gpuCount, type Reading } from "./reading.ts";
import { PRECISIONS, type Engine, type Profile, type Recipe } from "./recipe.ts";
import { exactNumber, modelName } from "./recipe-schema.ts";
import { checkSchema } from "../lib/schema-findings.ts";
import type { Finding } from "../lib/yaml-source.ts";

const text = z.string({ error: "expected text" }).min(1, { error: "expected text, found nothing" });
const switchWord = z.union([z.boolean(), z.stringbool({ truthy: ["true"], falsy: ["false"] })], {
  error: "expected true or false",
});
const args = z.record(
  z.string().regex(/^--?[A-Za-z][\w.-]*$/, { error: 'expected a flag such as "--max-model-len"' }),
  z.union([z.string(), exactNumber, z.boolean()], { error: "expected text" }),
  { error: "expected a map of flags to values" },
);
const profile = z.strictObject(
  { enabled: switchWord.optional(), args: args.optional() },
  { error: "expected a map with enabled and args" },
);
const block = z.record(z.string().regex(/^[1-9]\d?_gpu$/, { error: 'expected a GPU count such as "1_gpu"' }), profile, {
  error: 'expected a map such as "1_gpu: …"',
});

const aimSchema = z.strictObject({
  recipe_id: text,
  model_id: modelName,
  huggingface_id: modelName,
  hardware: z.union([text, z.array(text)], { error: 'expected a GPU product such as "MI300X"' }),
  precision: text.refine((name) => parsePrecision(name) !== undefined, {
    error: `expected one of ${PRECISIONS.join(", ")}`,
  }),
  vllm_serve: block.optional(),
  sglang_serve: block.optional(),
});

type AimDraft = z.output<typeof aimSchema>;
type Block = NonNullable<AimDraft["vllm_serve"]>;

/** The blocks, in the order in which their engines are preferred. */
const BLOCKS = [
  { key: "vllm_serve", engine: "vllm" },
  { key: "sglang_serve", engine: "sglang" },
] as const satisfies readonly { key: keyof AimDraft; engine: Engine }[];

/** Whether a file is meant to be in this format, right or wrong. */
export function isAimRecipe(value: unknown): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    ["recipe_id", "huggingface_id", "vllm_serve", "sglang_serve"].some((key) => key in value)
  );
}

/** One recipe for each engine block that has an enabled profile. */
export function readAimRecipe(file: string, value: unknown): Reading {
  const { data, findings } = checkSchema(aimSchema, value);
  if (data === undefined) return { recipes: [], findings };
  const readings = BLOCKS.flatMap(({ key, engine }) => {
    const profiles = data[key];
    return profiles === undefined ? [] : [readBlock(file, data, { key, engine, profiles })];
  });
  const recipes = readings.flatMap((reading) => reading.recipes);
  const all = [...findings, ...readings.flatMap((reading) => reading.findings)];
  if (all.length === 0 && recipes.length === 0)
    all.push({
      path: [],
      message: "no profile is enabled; vllm_serve or sglang_serve needs one with enabled: true",
    });
  return all.length > 0 ? { recipes: [], findings: all } : { recipes, findings: [] };
}

interface EngineBlock {
  readonly key: string;
  readonly engine: Engine;
  readonly profiles: Block;
}

function readBlock(file: string, draft: AimDraft, block: EngineBlock): Reading {
  const ids = Object.keys(block.profiles)
    .filter((id) => block.profiles[id]?.enabled !== false)
    .sort((a, b) => gpuCount(a) - gpuCount(b));
  const readings = ids.map((id, index) => readProfile(block, id, { isDefault: index === 0 }));
  const findings = readings.flatMap((reading) => reading.findings);
  const profiles = readings.map((reading) => reading.profile);
  if (profiles.length === 0 || findings.length > 0) return { recipes: [], findings };
  const notes = [...new Set(readings.flatMap((reading) => reading.notes))];
  return { recipes: [toRecipe(file, draft, { engine: block.engine, profiles, notes })], findings: [] };
}

function toRecipe(
  file: string,
  draft: AimDraft,
  part: Pick<Recipe, "engine" | "profiles"> & { notes: string[] },
): Recipe {
  const second = part.engine === "sglang" && draft.vllm_serve !== undefined;
  const precision = parsePrecision(draft.precision);
  return withHash({
    ...part,
    id: recipeId(draft.recipe_id, second ? "-sglang" : ""),
    file,
    model: draft.huggingface_id,
    aliases: aliasesOf(draft),
    hardware: [draft.hardware].flat(),
    ...(precision === undefined ? {} : { precision }),
    replicas: { min: 0, max: 1 },
    resources: {},
    mounts: [],
    capabilities: [],
    network: "own",
  });
}

/** Clients of the original name a model by any of its three ids. */
function aliasesOf(draft: AimDraft): string[] {
  const names = [draft.model_id, draft.recipe_id].filter((name) => modelName.safeParse(name).success);
  return [...new Set(names)].filter((name) => name !== draft.huggingface_id);
}

const LONGEST_ID = 40;

/** Our ids are stricter than theirs. A shortened one keeps a piece of its hash, so that it stays its own. */
function recipeId(recipeId: string, suffix: string): string {
  const plain = recipeId
    .toLowerCase()
    .replaceAll(/[^a-z0-9.-]+/g, "-")
    .replace(/^[.-]+/, "");
  const room = LONGEST_ID - suffix.length;
  if (plain !== "" && plain.length <= room) return plain + suffix;
  const mark = createHash("sha256").update(recipeId).digest("hex").slice(0, 6);
  return `${plain.slice(0, room - 7) || "recipe"}-${mark}${suffix}`;
}

interface ProfileReading {
  readonly profile: Profile;
  readonly notes: readonly string[];
  readonly findings: readonly Finding[];
}

function readProfile(block: EngineBlock, id: string, options: { readonly isDefault: boolean }): ProfileReading {
  const { engine } = block;
  const path = [block.key, id, "args"];
  const notes: string[] = [];
  const flags = readFlags(withRealBooleans(block.profiles[id]?.args ?? {}), path).flatMap((flag) => {
    const { kept, note } = adapt(engine, flag);
    if (note !== undefined) notes.push(`${engine}: ${note}`);
    return kept;
  });
  const args = toArgs(flags);
  const wrong = whyParallelismIsWrong(engine, args, gpuCount(id));
  return {
    profile: { id, gpus: gpuCount(id), args, env: {}, isDefault: options.isDefault },
    notes,
    findings: [...checkFlags(engine, flags), ...(wrong === undefined ? [] : [{ path, message: wrong }])],
  };
}

/** In this format every value is text; 'true' means the bare flag and 'false' none. */
function withRealBooleans(args: Readonly<Record<string, string | number | boolean>>) {
  return Object.fromEntries(
    Object.entries(args).map(([flag, value]) => [flag, value === "true" ? true : value === "false" ? false : value]),
  );
}

/** Drops what is ours to set, and puts right what the engine does not know by that name. */
function adapt(engine: Engine, flag: Flag): { readonly kept: readonly Flag[]; readonly note?: string } {
  const why = whyReserved(engine, flag.name);
  if (why !== undefined) return { kept: [], note: `${flag.name} is left out: ${why}` };
  return translate(engine, flag);
}
