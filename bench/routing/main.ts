// Compares ways to choose a replica, in virtual time: `npm run bench:routing -- [--trace FILE] [--workload NAME] [--policy NAME]
// [--load SHARE] [--replicas N] [--blocks N] [--assumed SHARE] [--seeds N] [--requests N] [--quick] [--json FILE]`. The first seven may be repeated.
// `--real` asks real processes of the sim engine behind the real gateway instead: a few minutes, on an idle machine.
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { runCell, type CellResult, type Place, type Source } from "./cells.ts";
import { GENERATORS } from "./generators.ts";
import { POLICIES, type Policy } from "./policies.ts";
import { compareReal, realTable } from "./real.ts";
import { ANCHOR, LEGEND, tableOf, titleOf, verdicts } from "./report.ts";
import { readTrace, tracesBeside } from "./trace-file.ts";
import { reusable, type Workload } from "./workload.ts";

const { values } = parseArgs({
  options: {
    trace: { type: "string", multiple: true },
    workload: { type: "string", multiple: true },
    policy: { type: "string", multiple: true, default: POLICIES.map(({ name }) => name) },
    load: { type: "string", multiple: true },
    replicas: { type: "string", multiple: true },
    blocks: { type: "string", multiple: true },
    assumed: { type: "string", multiple: true, default: ["1"] },
    seeds: { type: "string" },
    requests: { type: "string", default: "6000" },
    quick: { type: "boolean", default: false },
    real: { type: "boolean", default: false },
    json: { type: "string" },
  },
});

const results = values.real ? await runReal() : await runVirtual();
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(results, undefined, 2)}\n`);

async function runReal(): Promise<readonly object[]> {
  const comparisons = await compareReal();
  console.log(realTable(comparisons));
  return comparisons;
}

async function runVirtual(): Promise<readonly object[]> {
  console.log(LEGEND);
  const places = placesOf(values.quick ? ["0.75"] : ["0.5", "0.75", "0.95"]);
  const byName = Object.fromEntries(POLICIES.map((one) => [one.name, one]));
  const policies = values.policy.map((name) => known(byName, name));
  const cells = [...(await traces()), ...generated()].flatMap((source) => runAll(source, places, policies));
  console.log(`\n${verdicts(cells)}`);
  return cells;
}

function placesOf(usualLoads: readonly string[]): readonly Place[] {
  const loads = numbers(values.load ?? usualLoads);
  const counts = numbers(values.replicas ?? (values.quick ? ["8"] : ["4", "8"]));
  const caches = numbers(values.blocks ?? (values.quick ? ["2000"] : ["600", "2000"]));
  const assumptions = numbers(values.assumed);
  return counts.flatMap((replicas) =>
    caches.flatMap((blocks) =>
      loads.flatMap((load) => assumptions.map((assumed) => ({ load, replicas, blocks, assumed }))),
    ),
  );
}

async function traces(): Promise<readonly Source[]> {
  const files = values.trace ?? (values.workload === undefined ? await tracesBeside() : []);
  if (files.length === 0 && values.workload === undefined)
    console.warn(
      "WITHOUT THE PUBLIC TRACES: none lie beside the checkout; docs/performance.md says where they are found, --trace FILE takes one",
    );
  return Promise.all(files.map(async (file) => sourceOf([await readTrace(file)])));
}

function generated(): readonly Source[] {
  const [seeds = 0] = numbers([values.seeds ?? (values.quick ? "1" : "3")]);
  const [requests = 0] = numbers([values.requests]);
  const names = values.workload ?? (values.trace === undefined ? Object.keys(GENERATORS) : []);
  return names.map((name) => {
    const generate = known(GENERATORS, name);
    return sourceOf(Array.from({ length: seeds }, (_, seed) => generate({ seed, requests })));
  });
}

function sourceOf(workloads: readonly Workload[]): Source {
  const [first] = workloads;
  if (first === undefined) throw new Error("--seeds has to be 1 or more");
  return { name: first.name, workloads };
}

function runAll(source: Source, places: readonly Place[], policies: readonly Policy[]): CellResult[] {
  const [first] = source.workloads;
  if (first !== undefined)
    console.log(
      `\n${first.name}: ${first.about}; ${first.asks.length} requests, ${(100 * reusable(first)).toFixed(0)} % to be found in a cache without a bound`,
    );
  const { workload: anchored, ...anchor } = ANCHOR;
  return [...places, ...(source.name.includes(anchored) ? [anchor] : [])].flatMap((place) => {
    const cell = policies.map((policy) => runCell(source, place, policy));
    console.log(`\n${titleOf({ workload: source.name, ...place })}\n${tableOf(cell)}`);
    return cell;
  });
}

function numbers(texts: readonly string[]): readonly number[] {
  return texts.map((text) => {
    if (!(Number(text) > 0)) throw new Error(`${text} is no number above 0`);
    return Number(text);
  });
}

function known<T>(all: Readonly<Record<string, T>>, name: string): T {
  const found = all[name];
  if (found === undefined) throw new Error(`there is no ${name}; there is ${Object.keys(all).join(", ")}`);
  return found;
}
