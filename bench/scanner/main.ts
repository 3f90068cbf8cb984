// What it costs to admit a request body, and whether that agrees with JSON.parse on a million of them:
// `npm run bench:scanner -- [--bodies 1000000] [--seed N] [--json FILE]`.
import * as fc from "fast-check";
import { isUtf8 } from "node:buffer";
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { table } from "../../src/cli/table.ts";
import { parseBody } from "../../src/gateway/request.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { requireAgreement, triedBodies } from "../../test/support/scan-agreement.ts";
import { type Shape, shapes } from "./shapes.ts";

const ROUNDS = 100;
/** Each measurement takes about so long, so that the clock's grain does not matter. */
const ROUND_BYTES = 200_000;

const WORK = {
  parseBody,
  "JSON.parse": (body: Buffer) => JSON.parse(body.toString()) as unknown,
  copy: (body: Buffer) => Buffer.from(body),
  isUtf8,
};
type Work = keyof typeof WORK;
const WORKS: readonly Work[] = ["parseBody", "JSON.parse", "copy", "isUtf8"];

interface Row {
  readonly shape: string;
  readonly bytes: number;
  /** Median microseconds. */
  readonly us: Readonly<Record<Work, number>>;
}

const { values } = parseArgs({
  options: { bodies: { type: "string", default: "1000000" }, seed: { type: "string" }, json: { type: "string" } },
});
const rows = shapes().map(measure);
console.log(table(["SHAPE", "BYTES", ...WORKS.map((work) => `${work} µs`)], rows.map(cells)));
const agreement = agree(Number(values.bodies), Number(values.seed ?? systemClock.wallNow() % 2 ** 31));
if (values.json !== undefined) await writeFile(values.json, JSON.stringify({ rows, agreement }, undefined, 2));

/** All kinds of work take turns, so that a busy machine is busy for all of them. */
function measure({ name, body }: Shape): Row {
  const times = Math.ceil(ROUND_BYTES / body.length);
  const spent: Record<Work, number[]> = { parseBody: [], "JSON.parse": [], copy: [], isUtf8: [] };
  for (let round = 0; round < ROUNDS; round++) {
    for (const work of WORKS) {
      const since = systemClock.now();
      for (let time = 0; time < times; time++) WORK[work](body);
      spent[work].push(((systemClock.now() - since) * 1000) / times);
    }
  }
  const us = { parseBody: 0, "JSON.parse": 0, copy: 0, isUtf8: 0 };
  for (const work of WORKS) us[work] = median(spent[work]);
  return { shape: name, bytes: body.length, us };
}

function median(spent: readonly number[]): number {
  return spent.toSorted((a, b) => a - b)[Math.floor(spent.length / 2)] ?? 0;
}

function cells({ shape, bytes, us }: Row): readonly string[] {
  return [shape, String(bytes), ...WORKS.map((work) => us[work].toFixed(2))];
}

/** Throws with the body and the seed where the two are not of one mind. */
function agree(bodies: number, seed: number): { readonly bodies: number; readonly seed: number } {
  const since = systemClock.now();
  fc.assert(fc.property(triedBodies, requireAgreement), { numRuns: bodies, seed });
  const seconds = Math.round((systemClock.now() - since) / 1000);
  console.log(`\n${bodies} bodies, whole and broken: of one mind with JSON.parse (seed ${seed}, ${seconds} s)`);
  return { bodies, seed };
}
