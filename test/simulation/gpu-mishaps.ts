// What befalls the GPUs of a simulated gateway: others use them, their memory cannot be read, they vanish.
import type { Gpu } from "../../src/runtime/driver.ts";
import type { Deed, Setting } from "./setting.ts";

export class GpuMishaps {
  readonly #setting: Setting;
  /** All GPUs of the machine, also those that are away. */
  readonly #gpus: readonly Gpu[];

  constructor(setting: Setting) {
    this.#setting = setting;
    this.#gpus = setting.rig.world.gpus;
  }

  deeds(): readonly Deed[] {
    return [
      [2, () => this.#take()],
      [2, () => this.#use()],
      [1, () => this.#hideMemory()],
      [1, () => this.#remove()],
      [6, () => this.#restore()],
    ];
  }

  end(): void {
    const { world } = this.#setting.rig;
    world.gpus = this.#gpus;
    world.strangers.clear();
  }

  /** A new gateway cannot know that memory could ever be read which now cannot: such a GPU is believed. */
  reveal(): void {
    const { strangers } = this.#setting.rig.world;
    for (const [gpu, share] of strangers) if (share === undefined) strangers.delete(gpu);
  }

  /** Another gateway gets there first, and says so. */
  #take(): void {
    const { rig, random, tell } = this.#setting;
    const chosen = random.maybe(rig.world.gpus);
    if (chosen === undefined) return;
    tell(`another gateway takes ${chosen.id}`);
    const taken = { ...chosen, foreign: "container other-1 of installation other" };
    rig.world.gpus = rig.world.gpus.map((gpu) => (gpu === chosen ? taken : gpu));
  }

  /** Somebody who says nothing. */
  #use(): void {
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

  #remove(): void {
    const { rig, random, tell } = this.#setting;
    const gone = random.maybe(rig.world.gpus);
    if (gone === undefined) return;
    tell(`${gone.id} vanishes`);
    rig.world.gpus = rig.world.gpus.filter((gpu) => gpu !== gone);
  }

  #restore(): void {
    const { rig, random, tell } = this.#setting;
    const chosen = random.one(this.#gpus);
    tell(`${chosen.id} is as it was`);
    rig.world.strangers.delete(chosen.id);
    const others = new Map(rig.world.gpus.map((gpu) => [gpu.id, gpu]));
    rig.world.gpus = this.#gpus.flatMap((gpu) => (gpu === chosen ? gpu : (others.get(gpu.id) ?? [])));
  }
}
