// All proxies under all workloads, in an order that is drawn anew for each repetition.
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemRandom } from "../../src/lib/random.ts";
import { compileNative } from "./native.ts";
import type { Reading } from "./reading.ts";
import { tryOut, type Trial } from "./trial.ts";
import { endMocks, type Variant } from "./variant.ts";
import type { Workload } from "./workloads.ts";

export interface Settings {
  readonly variants: readonly Variant[];
  readonly workloads: readonly Workload[];
  /** Whether to search for how many streams each can take. */
  readonly knee: boolean;
  readonly quick: boolean;
  readonly repetitions: number;
  readonly cpus: { readonly proxy: string; readonly load: string };
  /** Whether what is measured comes before all other programs. */
  readonly realtime: boolean;
  /** Folder for our own CPU profiles, where some are wanted. */
  readonly profile: string | undefined;
  readonly log: (line: string) => void;
}

export interface Results {
  readonly workloads: readonly Workload[];
  /** Those that have shown anything. */
  readonly variants: readonly string[];
  /** Those that could not be run, and why. */
  readonly missing: Readonly<Record<string, string>>;
  readonly trials: readonly Trial[];
  /** What our look at each kind of prompt costs by itself. */
  readonly readings: readonly Reading[];
}

const SMALL_BYTES = 1024;
/** Windows of a quick run are that much shorter. */
const QUICK = 0.3;

/** Whatever goes wrong with a proxy is in its trials. */
export async function runAll(settings: Settings): Promise<Results> {
  const { variants, knee, quick, repetitions, cpus, realtime, profile, log } = settings;
  const root = await mkdtemp(join(tmpdir(), "bench-proxy-"));
  process.on("exit", () => rmSync(root, { recursive: true, force: true }));
  const native = await compileNative(root);
  // Our gateway starts its own, in a group that does not end with it when it is killed.
  process.on("exit", () => endMocks(native));
  const { able, missing } = sort(variants);
  for (const [name, why] of Object.entries(missing)) log(`left out: ${name}: ${why}`);
  const workloads = settings.workloads.map((workload) => (quick ? shorter(workload) : workload));
  const readings = await readAll(workloads.filter(({ prompt }) => prompt.bytes > SMALL_BYTES));
  // Others can take only what is left over by those who come before them, so there is nothing to repeat.
  const again = !quick && !realtime;
  const trials: Trial[] = [];
  for (const { variant, repetition } of drawn(able, repetitions)) {
    log(`${repetition}/${repetitions}: ${variant.name}: ${variant.about}`);
    const plan = { workloads, knee, again, repetition };
    const trial = await tryOut(variant, plan, { native, root, cpus, realtime, profile });
    for (const fault of trial.faults) log(`FAILED: ${fault}`);
    trials.push(trial);
  }
  const shown = able.map(({ name }) => name).filter((name) => trials.some((trial) => isOf(trial, name)));
  return { workloads, variants: shown, missing, trials, readings };
}

/** Loads the gateway's own code only where it is asked about: another checkout can be measured while this one is being changed. */
async function readAll(workloads: readonly Workload[]): Promise<Reading[]> {
  if (workloads.length === 0) return [];
  const { measureReading } = await import("./reading.ts");
  return workloads.map(measureReading);
}

function isOf({ variant, figures, knee }: Trial, name: string): boolean {
  return variant === name && (Object.keys(figures).length > 0 || knee !== undefined);
}

function sort(variants: readonly Variant[]): { readonly able: Variant[]; readonly missing: Record<string, string> } {
  const able: Variant[] = [];
  const missing: Record<string, string> = {};
  for (const variant of variants) {
    const why = variant.whyMissing();
    if (why === undefined) able.push(variant);
    else missing[variant.name] = why;
  }
  return { able, missing };
}

function shorter(workload: Workload): Workload {
  return { ...workload, seconds: Math.max(1, workload.seconds * QUICK) };
}

/** All of them once per repetition, in an order of its own. */
function drawn(variants: readonly Variant[], repetitions: number): { variant: Variant; repetition: number }[] {
  return Array.from({ length: repetitions }, (_, index) =>
    variants
      .map((variant) => ({ variant, repetition: index + 1, place: systemRandom.next() }))
      .sort((a, b) => a.place - b.place),
  ).flat();
}
