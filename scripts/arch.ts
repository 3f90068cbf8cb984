// Checks who imports whom (arch-rules.ts), and that the check itself works: it must have seen every file of src, and each
// rule must catch the violation planted for it in a copy of the tree. A cruise that sees nothing would report nothing.
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { cruise, type ICruiseResult } from "dependency-cruiser";
import extractTSConfig from "dependency-cruiser/config-utl/extract-ts-config";
import { ARCH_RULES } from "./arch-rules.ts";

const ROOT = join(import.meta.dirname, "..");

async function cruiseTree(baseDir: string): Promise<ICruiseResult> {
  const options = {
    baseDir,
    validate: true,
    ruleSet: { forbidden: ARCH_RULES.map(({ rule }) => rule) },
    tsPreCompilationDeps: true,
    doNotFollow: { path: "node_modules" },
  };
  const resolving = { exportsFields: ["exports"], conditionNames: ["import", "node", "default"] };
  const { output } = await cruise(["src"], options, resolving, {
    tsConfig: extractTSConfig(join(ROOT, "tsconfig.json")),
  });
  if (typeof output === "string") throw new Error(`dependency-cruiser printed instead of returning: ${output}`);
  return output;
}

async function faultsOfTree(): Promise<string[]> {
  const { summary, modules } = await cruiseTree(ROOT);
  const faults = summary.violations.map(({ rule, from, to }) => {
    const why = ARCH_RULES.find((one) => one.rule.name === rule.name)?.rule.comment ?? "";
    return `${from} → ${to}: ${why} (${rule.name})`;
  });
  const seen = modules.filter(({ source }) => source.startsWith("src/")).length;
  const files = await readdir(join(ROOT, "src"), { recursive: true });
  const sources = files.filter((file) => file.endsWith(".ts")).length;
  if (seen < sources) faults.push(`only ${seen} of ${sources} files were looked at: the check itself is broken`);
  return faults;
}

async function faultsOfRules(): Promise<string[]> {
  const copy = await mkdtemp(join(tmpdir(), "aim-engine-arch-"));
  try {
    await cp(join(ROOT, "src"), join(copy, "src"), { recursive: true });
    await symlink(join(ROOT, "node_modules"), join(copy, "node_modules"));
    const planted = ARCH_RULES.flatMap((rule) => Object.entries(rule.planted));
    for (const [file, text] of planted) {
      await mkdir(dirname(join(copy, file)), { recursive: true });
      await writeFile(join(copy, file), text);
    }
    const { summary } = await cruiseTree(copy);
    const caught = ({ rule, planted: files }: (typeof ARCH_RULES)[number]) =>
      summary.violations.some((violation) => violation.rule.name === rule.name && violation.from in files);
    return ARCH_RULES.filter((rule) => !caught(rule)).map(
      ({ rule }) => `rule "${rule.name}" did not catch what was planted for it`,
    );
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

const faults = [...(await faultsOfTree()), ...(await faultsOfRules())];
for (const fault of faults) console.error(`arch: ${fault}`);
if (faults.length > 0) process.exitCode = 1;
else console.log(`arch: ${ARCH_RULES.length} rules are kept, and each caught the violation planted for it`);
