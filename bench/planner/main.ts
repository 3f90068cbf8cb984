// What a decision costs on large machines: `npm run bench:planner -- [--json]`.
import { parseArgs } from "node:util";
import { table } from "../../src/cli/table.ts";
import { plan } from "../../src/control/planner.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { crowd, type Mix, type Size } from "./crowd.ts";

/** The size that the bound is about. */
const FULL: Size = { gpus: 64, models: 200, replicas: 500, waiters: 2_000 };
const SCALES = [0.25, 0.5, 1, 2];
const WARM_UP = 40;
const RUNS = 100;
/** What takes longer is measured fewer times. */
const MOST_MS = 2_000;

const JUST_COME_MS = 30_000;
const PATIENT_MS = 600_000;

const MIXES: readonly Mix[] = [
  {
    name: "busy",
    about: "everything is in use, and nobody has waited for long",
    fraction: 1,
    arrivalMs: JUST_COME_MS,
    stateOf: () => "busy",
  },
  {
    name: "giving way",
    about: "everything is in use, and all of it has to give way at once",
    fraction: 1,
    arrivalMs: PATIENT_MS,
    stateOf: () => "busy",
  },
  {
    name: "idle",
    about: "nothing is in use, and all of it may be evicted",
    fraction: 1,
    arrivalMs: PATIENT_MS,
    stateOf: () => "idle",
  },
  {
    name: "starting",
    about: "half of it loads, half of it is in use",
    fraction: 1,
    arrivalMs: JUST_COME_MS,
    stateOf: (index) => (index % 2 === 0 ? "loading" : "busy"),
  },
  {
    name: "shared",
    about: "eight to a card: in use, idle, asleep",
    fraction: 1 / 8,
    arrivalMs: PATIENT_MS,
    stateOf: (index) => (["busy", "idle", "sleeping"] as const)[index % 3] ?? "busy",
  },
];

interface Figures {
  readonly p50: number;
  readonly p95: number;
}

interface Row extends Size {
  readonly mix: string;
  readonly snapshot: Figures;
  readonly plan: Figures;
  readonly actions: number;
}

const { values } = parseArgs({ options: { json: { type: "boolean", default: false } } });
const rows: Row[] = [];
for (const mix of MIXES) {
  if (!values.json) console.log(`${mix.name}: ${mix.about}`);
  for (const scale of SCALES) rows.push(await measureAt(scaled(scale), mix));
}
console.log(values.json ? JSON.stringify(rows, undefined, 2) : tableOf(rows));

function scaled(scale: number): Size {
  const { gpus, models, replicas, waiters } = FULL;
  return { gpus: gpus * scale, models: models * scale, replicas: replicas * scale, waiters: waiters * scale };
}

async function measureAt(size: Size, mix: Mix): Promise<Row> {
  const { rig, leave } = await crowd(size, mix);
  const now = rig.clock.now();
  const snapshot = rig.plane.fleet.snapshot();
  const row = {
    mix: mix.name,
    ...size,
    snapshot: measure(() => rig.plane.fleet.snapshot()),
    plan: measure(() => plan(snapshot, now)),
    actions: plan(snapshot, now).actions.length,
  };
  await leave();
  return row;
}

/** In milliseconds, when it has been done often enough for the compiler to have seen it. */
function measure(work: () => unknown): Figures {
  repeat(work, WARM_UP);
  const spent = repeat(work, RUNS).sort((a, b) => a - b);
  const quantile = (share: number) => spent[Math.ceil(share * spent.length) - 1] ?? 0;
  return { p50: quantile(0.5), p95: quantile(0.95) };
}

/** How long each took. */
function repeat(work: () => unknown, times: number): number[] {
  const spent: number[] = [];
  const since = systemClock.now();
  for (let now = since; spent.length < times && now - since < MOST_MS;) {
    work();
    const then = systemClock.now();
    spent.push(then - now);
    now = then;
  }
  return spent;
}

function tableOf(rows: readonly Row[]): string {
  const heads = [
    "MIX",
    "GPUS",
    "MODELS",
    "REPLICAS",
    "WAITERS",
    "SNAPSHOT P50",
    "P95",
    "PLAN P50",
    "P95",
    "GROWTH",
    "ACTIONS",
  ];
  const cells = rows.map((row, index) => {
    const half = rows[index - 1];
    // 2: twice the time for twice the size.
    const growth = half?.mix === row.mix ? `${(costOf(row) / costOf(half)).toFixed(1)}x` : "";
    const times = [row.snapshot, row.plan].flatMap(({ p50, p95 }) => [p50, p95]).map((ms) => `${ms.toFixed(2)} ms`);
    const size = [row.gpus, row.models, row.replicas, row.waiters].map(String);
    return [row.mix, ...size, ...times, growth, String(row.actions)];
  });
  return `\n${table(heads, cells)}`;
}

function costOf({ snapshot, plan }: Row): number {
  return snapshot.p50 + plan.p50;
}
