// What befalls the world of a simulated gateway: engines, containers and the runtime.
import { AimError } from "../../src/errors.ts";
import type { FakeContainer } from "../support/fake-world.ts";
import type { Deed, Setting } from "./setting.ts";

const OUTAGE = new AimError("runtime_unavailable", "cannot reach Docker");

export class Mishaps {
  readonly #setting: Setting;

  constructor(setting: Setting) {
    this.#setting = setting;
  }

  deeds(): readonly Deed[] {
    return [
      [4, () => this.#changePace()],
      [3, () => this.#crash()],
      [2, () => this.#removeByHand()],
      [2, () => this.#freeze()],
      [4, () => this.#thaw()],
      [3, () => this.#hang()],
      [1, () => this.#deafen()],
      [2, () => this.#disturbSleep()],
      [3, () => this.#failNext()],
      [3, () => this.#loseAnswer()],
      [2, () => this.#cutOff()],
      [5, () => this.#reconnect()],
      [1, () => this.#restartRuntime()],
      [1, () => this.#interrupt()],
      [1, () => this.#killForMemory()],
      [1, () => this.#wedge()],
    ];
  }

  /** Everything is as it should be from now on; what is broken stays broken until the gateway sees to it. */
  end(): void {
    const { world } = this.#setting.rig;
    world.outage = undefined;
    world.startFaults.length = 0;
    world.stopFaults.length = 0;
    world.lostAnswers.length = 0;
    world.unkillable.clear();
    world.sleep.sleepFaults.length = 0;
    world.sleep.wakeFaults.length = 0;
    world.sleep.greedy.clear();
    Object.assign(world.sleep.pace, { sleepMs: 500, wakeMs: 300 });
    Object.assign(world.pace, { createMs: 100, loadMs: 1_000, stopMs: 200, releaseMs: 0, answerMs: 0 });
    for (const [name, { state }] of world.containers) if (state === "unresponsive") world.set(name, "running");
  }

  #changePace(): void {
    const { random, rig, tell } = this.#setting;
    const { pace } = rig.world;
    pace.createMs = random.one([1, 10, 100, 2_000]);
    pace.loadMs = random.one([0, 100, 1_000, 1_000, 20_000, 400_000]);
    pace.stopMs = random.one([0, 100, 5_000]);
    pace.releaseMs = random.one([0, 0, 0, 500, 3_000, 30_000]);
    pace.answerMs = random.one([0, 0, 10, 1_000, 3_000]);
    tell(`pace: ${JSON.stringify(pace)}`);
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
    const { random, rig, tell } = this.#setting;
    const frozen = random.maybe([...rig.world.containers.values()].filter(({ state }) => state === "unresponsive"));
    if (frozen === undefined) return;
    tell(`somebody unpauses ${frozen.spec.replica}`);
    rig.world.set(frozen.spec.replica, "running");
  }

  /** Its server answers nobody for a while, and a client notices. */
  #hang(): void {
    this.#withContainer("nobody reaches", (container) => {
      const { rig, random } = this.#setting;
      rig.world.hang(container, random.one([5_000, 50_000, 200_000]));
      const clients = [...rig.connections].filter(({ replica }) => replica === container.spec.replica);
      const error = new Error("ECONNREFUSED");
      for (const { lease } of clients.slice(0, 2)) lease?.report({ kind: "unreachable", error });
    });
  }

  /** It says that it is well and serves nothing. */
  #deafen(): void {
    this.#withContainer("from now on nothing is answered by", (container) => {
      container.isDeaf = true;
    });
  }

  /** The next one cannot fall asleep, or cannot wake, or keeps its memory, or takes its time. */
  #disturbSleep(): void {
    const { random, rig, tell } = this.#setting;
    const { sleep, containers } = rig.world;
    const kind = random.one(["sleepless", "unwakeable", "greedy", "slow", "slow"] as const);
    tell(`sleep is disturbed: ${kind}`);
    if (kind === "sleepless") sleep.sleepFaults.push(new Error("no sleep today"));
    else if (kind === "unwakeable") sleep.wakeFaults.push(new Error("no waking today"));
    else if (kind === "greedy") sleep.greedy.add(random.maybe([...containers.keys()]) ?? "");
    else Object.assign(sleep.pace, { sleepMs: random.one([10, 500, 20_000]), wakeMs: random.one([10, 300, 10_000]) });
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

  #loseAnswer(): void {
    const { random, rig, tell } = this.#setting;
    const lost = { call: random.one(["start", "stop", "list"] as const), afterMs: random.one([1, 100, 30_000]) };
    tell(`the answer to the next ${lost.call} will be lost, which is noticed after ${lost.afterMs} ms`);
    rig.world.lostAnswers.push(lost);
  }

  #cutOff(): void {
    this.#setting.tell("the runtime is away");
    this.#setting.rig.world.outage = OUTAGE;
  }

  #reconnect(): void {
    const { rig, tell } = this.#setting;
    if (rig.world.outage !== undefined) tell("the runtime is back");
    rig.world.outage = undefined;
    rig.world.hint();
  }

  /** It takes some of what runs with it. */
  #restartRuntime(): void {
    const { rig, random, tell } = this.#setting;
    tell("the runtime restarts");
    rig.world.outage = OUTAGE;
    for (const name of rig.world.containers.keys())
      if (random.upTo(1) === 0) rig.world.exit(name, { code: 137, outOfMemory: false });
    rig.world.outage = random.one([undefined, OUTAGE]);
    rig.world.hint({ kind: "interrupted" });
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

  #withContainer(what: string, deed: (container: FakeContainer) => void): void {
    const { random, rig, tell } = this.#setting;
    const container = random.maybe([...rig.world.containers.values()]);
    if (container === undefined) return;
    tell(`${what} ${container.spec.replica} (${container.ref.id}, ${container.state})`);
    deed(container);
  }
}
