// All proxies under all workloads, in an order that is shuffled for each repetition.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf } from "../../src/errors.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { findKnee } from "./knee.ts";
import { measure, measureOnce, type Figures } from "./measure.ts";
import { compileNative, type Native } from "./native.ts";
import { measureReading, type Reading } from "./reading.ts";
import { residentMb } from "./processes.ts";
import { OUTPUT, type Running, type Variant } from "./variant.ts";
import { WARM_UPS, type Workload } from "./workloads.ts";

export interface Settings {
  readonly variants: readonly Variant[];
  readonly workloads: readonly Workload[];
  /** Whether to search for how many streams each can take. */
  readonly knee: boolean;
  readonly quick: boolean;
  readonly repetitions: number;
  readonly cpus: { readonly proxy: string; readonly load: string };
  readonly nice: number;
  /** Folder for our own CPU profiles, where some are wanted. */
  readonly profile: string | undefined;
  readonly log: (line: string) => void;
}

/** What one proxy has shown in one repetition. */
export interface Trial {
  readonly variant: string;
  readonly repetition: number;
  /** Memory when it had just been started. */
  readonly freshMb: number;
  /** When it had been warmed up. */
  readonly idleMb: number;
  /** By workload. */
  readonly figures: Readonly<Record<string, Figures>>;
  /** How many streams it took. */
  readonly knee: number | undefined;
}

export interface Results {
  readonly workloads: readonly Workload[];
  readonly variants: readonly string[];
  /** Those that could not be run, and why. */
  readonly missing: Readonly<Record<string, string>>;
  readonly trials: readonly Trial[];
  /** What our look at each kind of prompt costs by itself. */
  readonly readings: readonly Reading[];
  /** What went wrong where: a proxy that did not start, or an answer that was not what it had to be. */
  readonly faults: readonly string[];
}

const SMALL_BYTES = 1024;
/** Windows of a quick run are that much shorter. */
const QUICK = 0.3;

/** A proxy that fails costs its own figures, not those of the others. */
export async function runAll(settings: Settings): Promise<Results> {
  const { variants, log } = settings;
  const folder = await mkdtemp(join(tmpdir(), "bench-proxy-"));
  try {
    const native = await compileNative(folder);
    const reasons = new Map(variants.map((variant) => [variant.name, variant.whyMissing()]));
    const missing = Object.fromEntries(
      [...reasons].filter((entry): entry is [string, string] => entry[1] !== undefined),
    );
    for (const [name, why] of Object.entries(missing)) log(`left out: ${name}: ${why}`);
    const able = variants.filter(({ name }) => missing[name] === undefined);
    const workloads = settings.workloads.map((workload) => (settings.quick ? shorter(workload) : workload));
    const trials: Trial[] = [];
    const faults: string[] = [];
    const readings = workloads.filter(({ prompt }) => prompt.bytes > SMALL_BYTES).map(measureReading);
    const turns = Array.from({ length: settings.repetitions }, (_, index) => index + 1);
    for (const { variant, repetition } of turns.flatMap((turn) => inTurn(able, turn))) {
      log(`${repetition}/${settings.repetitions}: ${variant.name}: ${variant.about}`);
      const trial = await tryOut(variant, { ...settings, workloads, native, repetition });
      if (typeof trial === "string") faults.push(trial);
      else trials.push(trial);
    }
    const names = able.map(({ name }) => name).filter((name) => trials.some(({ variant }) => variant === name));
    return { workloads, variants: names, missing, trials, readings, faults };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Trying extends Settings {
  readonly native: Native;
  readonly repetition: number;
}

/** Starts it afresh, warms it up, and puts every workload on it. What went wrong, if anything did. */
async function tryOut(variant: Variant, trying: Trying): Promise<Trial | string> {
  const { native, cpus, nice, profile, workloads, quick, repetition } = trying;
  const folder = await mkdtemp(join(tmpdir(), `bench-${variant.name}-`));
  const place = { native, folder, cpus, nice, profile };
  let running: Running | undefined;
  try {
    running = await variant.start(place);
    const freshMb = residentMb(running.pids());
    for (const workload of WARM_UPS) await measureOnce(workload, running, place);
    const idleMb = residentMb(running.pids());
    const figures: Record<string, Figures> = {};
    for (const workload of workloads)
      figures[workload.name] = await (quick ? measureOnce : measure)(workload, running, place);
    const knee = trying.knee ? await findKnee(running, place) : undefined;
    return { variant: variant.name, repetition, freshMb, idleMb, figures, knee };
  } catch (error) {
    const fault = `${variant.name}: ${messageOf(error)}; the end of its output:\n${await endOfOutput(folder)}`;
    trying.log(`${variant.name} failed: ${messageOf(error)}`);
    return fault;
  } finally {
    await running?.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function endOfOutput(folder: string): Promise<string> {
  const text = await readFile(join(folder, OUTPUT), "utf8").catch(() => "(none)");
  return text.split("\n").slice(-15).join("\n");
}

function shorter(workload: Workload): Workload {
  return { ...workload, seconds: Math.max(1, workload.seconds * QUICK) };
}

/** All of them in an order of this repetition's own. */
function inTurn(variants: readonly Variant[], repetition: number): { variant: Variant; repetition: number }[] {
  const placed = variants.map((variant) => ({ variant, repetition, place: systemRandom.next() }));
  return placed.sort((a, b) => a.place - b.place);
}
