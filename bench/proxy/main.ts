// Our gateway beside other proxies: `npm run bench:proxy -- [--quick] [--only NAME,..] [--workload NAME,..] [--json FILE]`.
import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { waitForOthers } from "./alone.ts";
import { report } from "./report.ts";
import { runAll, type Settings } from "./run.ts";
import { VARIANTS } from "./variants.ts";
import { usIn } from "./variants/aim.ts";
import { WORKLOADS } from "./workloads.ts";

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string" },
    workload: { type: "string" },
    repetitions: { type: "string" },
    cpus: { type: "string", default: "0,1" },
    realtime: { type: "boolean", default: false },
    profile: { type: "string" },
    base: { type: "string" },
    json: { type: "string" },
  },
});

// Whatever was started ends with us.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));

await waitForOthers(console.log);
const results = await runAll(settings());
console.log(report(results));
if (results.trials.some(({ faults }) => faults.length > 0)) process.exitCode = 1;
if (values.json !== undefined) await writeFile(values.json, JSON.stringify(results, undefined, 2));

function settings(): Settings {
  const { quick, only, workload, repetitions = quick ? "1" : "3", cpus, realtime, profile, base } = values;
  const [proxy = "0", load = "1"] = cpus.split(",");
  const variants = base === undefined ? VARIANTS : [...VARIANTS, usIn(resolve(base))];
  const names = [...WORKLOADS.map(({ name }) => name), "knee"];
  const asked = workload?.split(",") ?? names.filter((name) => !quick || name !== "knee");
  return {
    variants: pick(variants, only?.split(",") ?? variants.map(({ name }) => name).filter(isUsual)),
    workloads: pick(
      WORKLOADS,
      asked.filter((name) => name !== "knee"),
    ),
    knee: asked.includes("knee"),
    quick,
    repetitions: Number(repetitions),
    cpus: { proxy, load },
    realtime,
    profile,
    log: (line) => console.log(line),
  };
}

/** Whether it belongs to a run for which none was named. */
function isUsual(name: string): boolean {
  return !values.quick || ["nginx", "us", "base"].includes(name);
}

function pick<T extends { readonly name: string }>(all: readonly T[], names: readonly string[]): T[] {
  return names.map((name) => {
    const found = all.find((one) => one.name === name);
    if (found === undefined) throw new Error(`there is no ${name}; there is ${all.map((one) => one.name).join(", ")}`);
    return found;
  });
}
