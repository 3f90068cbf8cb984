// One proxy, started afresh, under all workloads.
import { mkdtemp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../../src/errors.ts";
import { findKnee } from "./knee.ts";
import { measure, measureOnce, type Figures } from "./measure.ts";
import { residentMb } from "./processes.ts";
import { OUTPUT, type Place, type Running, type Variant } from "./variant.ts";
import { WARM_UPS, type Workload } from "./workloads.ts";

/** What one proxy has shown in one repetition. */
export interface Trial {
  readonly variant: string;
  readonly repetition: number;
  /** Memory when it had just been started, and when it had been warmed up. */
  readonly freshMb: number | undefined;
  readonly idleMb: number | undefined;
  /** By workload. */
  readonly figures: Readonly<Record<string, Figures>>;
  /** How many streams it took. */
  readonly knee: number | undefined;
  /** What went wrong: it did not start, or an answer was not what it had to be. */
  readonly faults: readonly string[];
}

export interface Plan {
  readonly workloads: readonly Workload[];
  /** Whether to search for how many streams it can take. */
  readonly knee: boolean;
  /** Whether to measure once more what others have disturbed. */
  readonly again: boolean;
  readonly repetition: number;
}

/** Where a trial takes place, but for its own folder, which is made in `root`. */
export interface Ground extends Omit<Place, "folder"> {
  readonly root: string;
}

/** What fails costs its own figures, not those of the rest. */
export async function tryOut(variant: Variant, plan: Plan, ground: Ground): Promise<Trial> {
  const place = { ...ground, folder: await mkdtemp(join(ground.root, `${variant.name}-`)) };
  const faults: string[] = [];
  const attempt = async <T>(what: string, work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      faults.push(`${variant.name}, ${what}: ${messageOf(error)}\n${await endOfOutput(place)}`);
      return undefined;
    }
  };
  const running = await attempt("start", () => variant.start(place));
  const freshMb = running && residentMb(running.pids());
  const common = { variant: variant.name, repetition: plan.repetition, freshMb, faults };
  if (running === undefined) return { ...common, idleMb: undefined, figures: {}, knee: undefined };
  try {
    await attempt("warm-up", () => warmUp(running, place));
    const idleMb = residentMb(running.pids());
    const figures: Record<string, Figures> = {};
    for (const workload of plan.workloads) {
      const measureIn = plan.again ? measure : measureOnce;
      const found = await attempt(workload.name, () => measureIn(workload, running, place));
      if (found !== undefined) figures[workload.name] = found;
    }
    const knee = plan.knee ? await attempt("knee", () => findKnee(running, place)) : undefined;
    return { ...common, idleMb, figures, knee };
  } finally {
    await running.stop();
  }
}

async function warmUp(running: Running, place: Place): Promise<void> {
  for (const workload of WARM_UPS) await measureOnce(workload, running, place);
}

async function endOfOutput({ folder }: Place): Promise<string> {
  const text = await readFile(join(folder, OUTPUT), "utf8").catch(() => "(it has said nothing)");
  return text.trimEnd().split("\n").slice(-12).join("\n");
}
