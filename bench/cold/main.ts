// What a cold start costs beside pull, container and load:
// `npm run bench:cold -- [--setup NAME]... [--runs N] [--load SECONDS] [--json FILE]`.
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { measureColdStart } from "./cold-start.ts";
import type { Stamps } from "./phases.ts";
import { openSite, SETUPS, type Setup } from "./site.ts";
import { summarise, tableOf, type Summary } from "./summary.ts";

const MODELS = 5;

const { values } = parseArgs({
  options: {
    setup: { type: "string", multiple: true, default: [...SETUPS] },
    runs: { type: "string", default: "20" },
    load: { type: "string", default: "2" },
    json: { type: "string" },
  },
});

const summaries: Summary[] = [];
for (const name of values.setup) summaries.push(summarise(name, await runsOf(known(name))));
console.log(tableOf(summaries));
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(summaries, undefined, 2)}\n`);

/** Of one gateway, whose first start is one of them. */
async function runsOf(setup: Setup): Promise<readonly Stamps[]> {
  await using site = await openSite(setup, { seconds: positive("load"), models: MODELS });
  const runs: Stamps[] = [];
  for (const count = positive("runs"); runs.length < count;)
    runs.push(await measureColdStart(site, `cold-${runs.length % MODELS}`));
  return runs;
}

function known(name: string): Setup {
  const found = SETUPS.find((setup) => setup === name);
  if (found === undefined) throw new Error(`--setup ${name}: there is ${SETUPS.join(", ")}`);
  return found;
}

function positive(name: "load" | "runs"): number {
  const value = Number(values[name]);
  if (value > 0) return value;
  throw new Error(`--${name} ${values[name]}: expected a number above 0`);
}
