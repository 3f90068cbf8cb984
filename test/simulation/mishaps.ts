// What befalls the world of a simulated gateway: engines, containers, the runtime and the GPUs.
import { AimError } from "../../src/errors.ts";
import type { Gpu } from "../../src/runtime/driver.ts";
import type { FakeContainer } from "../support/fake-world.ts";
import type { Rig } from "../support/make-plane.ts";
import type { TestRequest } from "../support/test-request.ts";
import type { Seeded } from "./seeded.ts";

export type Deed = readonly [weight: number, deed: () => void];

/** What the parts of a simulation share. */
export interface Setting {
  readonly random: Seeded;
  readonly rig: Rig;
  readonly tell: (line: string) => void;
}

const OUTAGE = new AimError("runtime_unavailable", "cannot reach Docker");

export class Mishaps {
  readonly #setting: Setting & { clients(): readonly TestRequest[] };
  /** All GPUs of the machine, also those that are away. */
  readonly #gpus: readonly Gpu[];

  constructor(setting: Setting & { clients(): readonly TestRequest[] }) {
    this.#setting = setting;
    this.#gpus = setting.rig.world.gpus;
  }

  deeds(): readonly Deed[] {
    return [
      [4, () => this.#changePace()],
      [4, () => this.#crash()],
      [3, () => this.#removeByHand()],
      [3, () => this.#freeze()],
      [4, () => this.#thaw()],
      [3, () => this.#hang()],
      [3, () => this.#failNext()],
      [2, () => this.#cutOff()],
      [4, () => this.#reconnect()],
      [2, () => this.#takeGpu()],
      [3, () => this.#useGpu()],
      [2, () => this.#hideMemory()],
      [2, () => this.#removeGpu()],
      [5, () => this.#restoreGpu()],
      [2, () => this.#interrupt()],
      [2, () => this.#killForMemory()],
      [1, () => this.#wedge()],
    ];
  }

  /** Everything is as it should be from now on. */
  end(): void {
    const { world } = this.#setting.rig;
    world.outage = undefined;
    world.startFaults.length = 0;
    world.stopFaults.length = 0;
    world.gpus = this.#gpus;
    world.strangers.clear();
    world.unkillable.clear();
    Object.assign(world.pace, { createMs: 100, loadMs: 1_000, stopMs: 200, releaseMs: 0 });
    for (const [name, { state }] of world.containers) if (state === "unresponsive") world.set(name, "running");
  }

  /** A new gateway cannot know that memory could ever be read which now cannot: such a GPU is believed. */
  reveal(): void {
    const { strangers } = this.#setting.rig.world;
    for (const [gpu, share] of strangers) if (share === undefined) strangers.delete(gpu);
  }

  #changePace(): void {
    const { pace } = this.#setting.rig.world;
    pace.createMs = this.#setting.random.one([0, 10, 100, 2_000]);
    pace.loadMs = this.#setting.random.one([0, 100, 1_000, 20_000, 400_000]);
    pace.stopMs = this.#setting.random.one([0, 100, 5_000]);
    pace.releaseMs = this.#setting.random.one([0, 0, 500, 3_000, 30_000, 150_000]);
    const { createMs, loadMs, stopMs, releaseMs } = pace;
    this.#setting.tell(`pace: create ${createMs}, load ${loadMs}, stop ${stopMs}, memory back ${releaseMs} ms`);
  }

  #crash(): void {
    this.#withContainer("the engine ends of", (container) =>
      this.#setting.rig.world.exit(container.spec.replica, { code: 1, outOfMemory: false }),
    );
  }

  #removeByHand(): void {
    this.#withContainer("somebody removes", (container) => this.#setting.rig.world.remove(container.spec.replica));
  }

  #freeze(): void {
    this.#withContainer("somebody pauses", (container) => {
      if (container.state === "running") this.#setting.rig.world.set(container.spec.replica, "unresponsive");
    });
  }

  #thaw(): void {
    this.#withContainer("somebody unpauses", (container) => {
      if (container.state === "unresponsive") this.#setting.rig.world.set(container.spec.replica, "running");
    });
  }

  /** Its server answers nobody for a while, and a client notices. */
  #hang(): void {
    this.#withContainer("nobody reaches", (container) => {
      this.#setting.rig.world.hang(container, this.#setting.random.one([5_000, 50_000, 200_000]));
      const error = new Error("ECONNREFUSED");
      const clients = this.#setting.clients().filter(({ replica }) => replica === container.spec.replica);
      for (const { lease } of clients.slice(0, 2)) lease?.report({ kind: "unreachable", error });
    });
  }

  #withContainer(what: string, deed: (container: FakeContainer) => void): void {
    const container = this.#setting.random.maybe([...this.#setting.rig.world.containers.values()]);
    if (container === undefined) return;
    this.#setting.tell(`${what} ${container.spec.replica} (${container.ref.id}, ${container.state})`);
    deed(container);
  }

  #failNext(): void {
    const { startFaults, stopFaults } = this.#setting.rig.world;
    const [faults, what] = this.#setting.random.one([
      [startFaults, "start"],
      [stopFaults, "stop"],
    ] as const);
    this.#setting.tell(`the next ${what} will fail`);
    faults.push(new AimError("runtime_failed", `no ${what} today`));
  }

  #cutOff(): void {
    this.#setting.tell("the runtime is away");
    this.#setting.rig.world.outage = OUTAGE;
  }

  #reconnect(): void {
    if (this.#setting.rig.world.outage !== undefined) this.#setting.tell("the runtime is back");
    this.#setting.rig.world.outage = undefined;
    this.#setting.rig.world.hint();
  }

  /** Another gateway gets there first, and says so. */
  #takeGpu(): void {
    this.#changeGpu("another gateway takes", (gpu) => ({ ...gpu, foreign: "container other-1 of installation other" }));
  }

  /** Somebody who says nothing. */
  #useGpu(): void {
    const { random, rig, tell } = this.#setting;
    const gpu = random.one(this.#gpus);
    const share = random.one([0.006, 0.05, 0.4]);
    tell(`somebody uses ${share} of the memory of ${gpu.id}`);
    rig.world.strangers.set(gpu.id, share);
  }

  /** Of a GPU whose memory was read: one that never could be is believed. */
  #hideMemory(): void {
    const { random, rig, tell } = this.#setting;
    const known = rig.plane.fleet.machines.gpus().filter(({ gpu }) => gpu.usedBytes !== undefined);
    const hidden = random.maybe(known);
    if (hidden === undefined) return;
    tell(`the memory of ${hidden.gpu.id} cannot be read`);
    rig.world.strangers.set(hidden.gpu.id, undefined);
  }

  #removeGpu(): void {
    const { rig, random, tell } = this.#setting;
    const gone = random.maybe(rig.world.gpus);
    if (gone === undefined) return;
    tell(`${gone.id} vanishes`);
    rig.world.gpus = rig.world.gpus.filter((gpu) => gpu !== gone);
  }

  #restoreGpu(): void {
    const { rig, random, tell } = this.#setting;
    const chosen = random.one(this.#gpus);
    tell(`${chosen.id} is as it was`);
    rig.world.strangers.delete(chosen.id);
    const others = new Map(rig.world.gpus.map((gpu) => [gpu.id, gpu]));
    rig.world.gpus = this.#gpus.flatMap((gpu) => (gpu === chosen ? gpu : (others.get(gpu.id) ?? [])));
  }

  #changeGpu(what: string, change: (gpu: Gpu) => Gpu): void {
    const { rig, random, tell } = this.#setting;
    const chosen = random.maybe(rig.world.gpus);
    if (chosen === undefined) return;
    tell(`${what} ${chosen.id}`);
    rig.world.gpus = rig.world.gpus.map((gpu) => (gpu === chosen ? change(gpu) : gpu));
  }

  #interrupt(): void {
    this.#setting.tell("the runtime says that it was interrupted");
    this.#setting.rig.world.hint({ kind: "interrupted" });
  }

  #killForMemory(): void {
    this.#withContainer("the kernel kills a process of", ({ ref, spec }) => {
      const { world } = this.#setting.rig;
      // One that does not answer is replaced, whatever it seems to serve.
      world.condemned.add(spec.replica);
      world.hint({ kind: "out_of_memory", id: ref.id });
    });
  }

  /** No stop ends it for now. */
  #wedge(): void {
    this.#withContainer("nothing ends", ({ spec }) => {
      const { unkillable } = this.#setting.rig.world;
      if (unkillable.size === 0) unkillable.add(spec.replica);
      else unkillable.clear();
    });
  }
}
