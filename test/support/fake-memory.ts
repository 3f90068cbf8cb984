// The memory of the GPUs of a FakeWorld: how much of it is in use, what those leave who have ended, and that nobody gets more
// than there is.
import { LABELS, type LaunchSpec } from "../../src/catalog/launch-spec.ts";
import { isAlive, type FakeContainer, type FakeWorld } from "./fake-world.ts";

/** Memory that is not free yet. */
interface Remains {
  readonly name: string;
  readonly share: number;
  readonly since: number;
  readonly until: number;
}

/** Of what it had, what one that has ended still has. */
const LEFT = 0.5;
/** What an engine takes that has a GPU for itself. */
const ALONE = 0.9;
/** Shares are sums of decimals. */
const SLACK = 1e-9;

export class FakeMemory {
  readonly #world: FakeWorld;
  readonly #remains = new Map<string, readonly Remains[]>();
  /** When the gateway first saw what there is: it cannot tell what those keep who slept by then, from what others leave. */
  seenSince = 0;

  constructor(world: FakeWorld) {
    this.#world = world;
  }

  /** Of a GPU's memory, what is in use. */
  usedShare(gpu: string): number {
    const { sleep, strangers } = this.#world;
    const held = this.#holders(gpu).reduce((sum, one) => sum + sleep.memoryShare(one), 0);
    const left = this.#leftOn(gpu).reduce((sum, { share }) => sum + share, 0);
    return Math.min(1, held + Math.max(left, strangers.get(gpu) ?? 0, held > 0 ? 0 : 0.001));
  }

  /** It has ended; what it had is free when the world's pace says so. */
  leave({ spec, rest }: FakeContainer): void {
    const { pace, clock } = this.#world;
    // The little that a sleeper has is in nobody's way.
    if (pace.releaseMs === 0 || rest === "asleep") return;
    const since = clock.now();
    const name = `what is left of ${spec.replica}`;
    const remains = { name, share: LEFT * shareOf(spec), since, until: since + pace.releaseMs };
    for (const gpu of spec.gpus) this.#remains.set(gpu, [...this.#leftOn(gpu), remains]);
  }

  /** Those that are awake on a GPU, what others keep in their sleep and what is left of others have no more than all of it. */
  noteDoubleUse(spec: LaunchSpec, woken?: FakeContainer): void {
    const isMeasured = woken === undefined || woken.asleepSince > this.seenSince;
    for (const gpu of spec.gpus) {
      const others = this.#holders(gpu).filter((one) => one.spec.replica !== spec.replica);
      const beside = [
        ...others.map((one) => ({ name: one.spec.replica, share: this.#claimOf(one) })),
        ...(isMeasured ? this.#leftOn(gpu) : []).filter(({ since }) => woken === undefined || since > this.seenSince),
      ];
      const shares = beside.reduce((sum, { share }) => sum + share, Math.min(shareOf(spec), ALONE));
      const names = beside.map(({ name }) => name).join(" and ");
      const what = woken === undefined ? "started" : "woken";
      if (shares > 1 + SLACK) this.#world.violations.push(`${spec.replica} was ${what} on ${gpu} beside ${names}`);
    }
  }

  #claimOf({ rest, spec }: FakeContainer): number {
    return rest === "asleep" ? this.#world.sleep.residualShare : shareOf(spec);
  }

  #holders(gpu: string): readonly FakeContainer[] {
    return [...this.#world.containers.values()].filter((one) => isAlive(one) && one.spec.gpus.includes(gpu));
  }

  #leftOn(gpu: string): readonly Remains[] {
    return this.#remains.get(gpu)?.filter(({ until }) => until > this.#world.clock.now()) ?? [];
  }
}

/** Of each of its GPUs. */
export function shareOf({ labels }: LaunchSpec): number {
  return Number(labels[LABELS.share] ?? 1);
}
