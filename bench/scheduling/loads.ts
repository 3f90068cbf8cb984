// What the loads cost: seen at the runtime, so that every policy is measured alike.
import type { FakeContainer, FakeWorld } from "../../test/support/fake-world.ts";

interface Load {
  readonly container: FakeContainer;
  readonly since: number;
  readonly gpus: number;
  /** When its container ended; Infinity while it runs. */
  endedAt: number;
}

export class Loads {
  readonly #loads: Load[] = [];

  constructor(world: FakeWorld) {
    const { clock, containers } = world;
    world.onRunning = (container) =>
      this.#loads.push({ container, since: clock.now(), gpus: container.spec.gpus.length, endedAt: Infinity });
    world.watch(() => {
      for (const load of this.#loads) {
        const { ref } = load.container;
        if (load.endedAt === Infinity && containers.get(ref.name) !== load.container) load.endedAt = clock.now();
      }
    });
  }

  get count(): number {
    return this.#loads.length;
  }

  /** Time that replicas spent loading, one beside the other. */
  get seconds(): number {
    return this.#sum(() => 1);
  }

  /** The same, times the GPUs that served nobody meanwhile. */
  get gpuSeconds(): number {
    return this.#sum(({ gpus }) => gpus);
  }

  #sum(weight: (load: Load) => number): number {
    const spent = ({ container, since, endedAt }: Load) => Math.min(container.loadedAt, endedAt) - since;
    return this.#loads.reduce((sum, load) => sum + (spent(load) / 1_000) * weight(load), 0);
  }
}
