// What the runtimes have, as last seen: whether each can be used, and its GPUs. A part of the fleet.
import type { RuntimeName } from "../../catalog/recipe.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Journal } from "../journal.ts";
import type { Replica } from "../replica.ts";
import type { RuntimeSnapshot } from "../snapshot.ts";
import { gpuStatuses, type GpuStatus } from "./fleet-view.ts";
import { GpuBook, heldShare } from "./gpus.ts";
import type { Roster } from "./roster.ts";

export interface MachinesDeps {
  readonly clock: Clock;
  readonly journal: Journal;
  readonly roster: Roster;
  readonly recoveryMs: number;
  /** What can be used has changed. */
  onChange(): void;
  /** Look at the runtime now. */
  onSuspect(runtime: RuntimeName): void;
}

export class Machines {
  readonly #deps: MachinesDeps;
  readonly #runtimes = new Map<RuntimeName, RuntimeSnapshot>();
  readonly book: GpuBook;

  constructor(deps: MachinesDeps) {
    this.#deps = deps;
    this.book = new GpuBook(deps);
  }

  get runtimes(): ReadonlyMap<RuntimeName, RuntimeSnapshot> {
    return this.#runtimes;
  }

  /** Whether it is known what already runs on each runtime that can be reached. */
  get isSurveyed(): boolean {
    return [...this.#runtimes.values()].every(({ known, unavailable }) => known || unavailable !== undefined);
  }

  /** What a runtime has; `askedAt` is absent where that was not asked for now. */
  set(name: RuntimeName, runtime: RuntimeSnapshot, askedAt?: number): void {
    const { roster, journal } = this.#deps;
    this.#runtimes.set(name, runtime);
    const held = (gpu: string) => heldShare(roster.holders(name, gpu));
    const changes = askedAt === undefined ? [] : this.book.observe(name, runtime.gpus, { askedAt, heldShare: held });
    for (const change of changes) journal.gpu(name, change);
    this.#deps.onChange();
  }

  /** Whether a GPU of the runtime is on its way back, and worth looking at soon. */
  isRecovering(runtime: RuntimeName): boolean {
    return this.book.isRecovering(runtime);
  }

  gpus(): readonly GpuStatus[] {
    return gpuStatuses(this.#deps.roster, this);
  }

  /** A replica is gone, or asleep: whether what it gave back of its GPUs is free is to be seen. */
  giveBack(replica: Replica): void {
    const isDoubtful = this.book.giveBack(replica, this.#runtimes, this.#deps.clock.now());
    if (isDoubtful) this.#deps.onSuspect(replica.identity.runtime);
  }

  /** Takes an operator's word that a GPU can be given out, whatever is in use on it now. */
  release({ runtime, gpu }: Pick<GpuStatus, "runtime" | "gpu">): void {
    this.book.forgive(runtime, gpu, heldShare(this.#deps.roster.holders(runtime, gpu.id)));
    this.#deps.journal.gpu(runtime, { gpu: gpu.id, kind: "released", reason: "an operator released it" });
    this.#deps.onChange();
  }
}
