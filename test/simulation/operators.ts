// Operators of a simulated gateway: they launch with all sorts of wishes, stop and restart, and hold the gateway to its word
// about what a launch would do.
import type { Explanation } from "../../src/control/explain.ts";
import type { LaunchOutcome } from "../../src/control/operations/operator.ts";
import type { LaunchWish } from "../../src/control/operations/order-check.ts";
import { messageOf } from "../../src/errors.ts";
import type { FakeClock } from "../support/clock.ts";
import { MOST_ORDERED } from "./invariants.ts";
import type { Deed, Setting } from "./setting.ts";

export class Operators {
  readonly #setting: Setting;
  /** What was asked for and has not ended. */
  open = 0;

  constructor(setting: Setting) {
    this.#setting = setting;
  }

  deeds(): readonly Deed[] {
    return [
      [5, () => this.#launch()],
      [3, () => this.#stop()],
      [1, () => this.#restart()],
    ];
  }

  #launch(): void {
    const { random, rig, tell } = this.#setting;
    const wish = this.#wish();
    tell(`an operator launches ${JSON.stringify(wish)}`);
    const expected = this.#explained(wish);
    const isPatient = random.upTo(1) === 0;
    const launched = this.#supervise((life) =>
      rig.plane.operator.launch(wish, isPatient ? life : timeout(rig.clock, 2_000)),
    );
    if (expected !== undefined) this.#hold(expected, launched);
  }

  #wish(): LaunchWish {
    const { random, rig, models } = this.#setting;
    const model = random.one(models);
    const kind = random.one(["plain", "plain", "name", "flags", "on", "replicas"] as const);
    const gpus = rig.plane.fleet.machines.gpus();
    const first = random.upTo(3);
    switch (kind) {
      case "plain":
        return { model, keepAliveMs: 30_000 };
      case "name":
        return { model, keepAliveMs: 30_000, name: random.one(["mine", "yours", `${model}-1`, `${model}-2`]) };
      case "flags":
        return { model, keepAliveMs: 30_000, flags: ["--seed", String(random.upTo(1))] };
      case "replicas":
        return { model, keepAliveMs: 30_000, replicas: 1 + random.upTo(MOST_ORDERED - 1) };
      case "on": {
        const on = gpus.slice(first, first + random.one([1, 2, 4])).map(({ number }) => String(number));
        return { model, keepAliveMs: 30_000, ...(on.length === 0 ? {} : { on }) };
      }
    }
  }

  /** What a launch is said to do at this moment. */
  #explained(wish: LaunchWish): Explanation | undefined {
    const { plane } = this.#setting.rig;
    const pausing = plane.fleet.snapshot().failures.size > 0;
    // Several are launched one by one; and a launch forgives failures, which asking does not.
    if (wish.replicas !== undefined || pausing) return undefined;
    try {
      return plane.inspector.explain(wish);
    } catch {
      // It is refused as it stands, and so will the launch be.
      return undefined;
    }
  }

  #hold({ verdict, summary, gpus, recipe }: Explanation, launched: Promise<LaunchOutcome>): void {
    const { rig, blame } = this.#setting;
    const askedAt = rig.clock.now();
    const { life } = rig;
    const check = (found: "serves" | "starts" | "refused", what: string) => {
      if (life.aborted || rig.clock.now() > askedAt || verdict === "waits" || verdict === "evicts") return;
      const expected = verdict === "wakes" ? "serves" : verdict;
      if (found !== expected) blame(`it was said that ${summary} (${verdict}), and the launch: ${what} (${found})`);
    };
    launched.then(
      ({ created, replica }) => {
        check(created ? "starts" : "serves", replica.name);
        if (verdict === "starts" && created && rig.clock.now() === askedAt) {
          const [said, got] = [JSON.stringify([recipe, gpus]), JSON.stringify([replica.recipe, replica.gpus])];
          if (said !== got) blame(`${said} was explained, and ${got} was launched`);
        }
      },
      (error: unknown) => check("refused", messageOf(error)),
    );
  }

  #stop(): void {
    const { random, rig, tell } = this.#setting;
    const replica = random.maybe(rig.plane.fleet.replicas.all());
    if (replica === undefined) return;
    const force = random.upTo(3) === 0;
    const how = force ? " by force" : "";
    tell(`an operator stops ${replica.name} (${replica.state}, ${replica.inFlight} in flight)${how}`);
    if (force && replica.inFlight > 0) rig.world.condemned.add(replica.name);
    void this.#supervise((life) => rig.plane.operator.stop(replica.name, { force }, life)).catch(() => undefined);
  }

  #restart(): void {
    const { random, rig, tell, models } = this.#setting;
    const name = random.maybe([...rig.plane.fleet.replicas.all().map((replica) => replica.name), random.one(models)]);
    if (name === undefined) return;
    tell(`an operator restarts ${name}`);
    void this.#supervise((life) => rig.plane.operator.restart(name, { force: false }, life)).catch(() => undefined);
  }

  /** What operators ask for ends, one way or the other; a killed gateway's operators are told by their connection. */
  #supervise<T>(work: (life: AbortSignal) => Promise<T>): Promise<T> {
    const { life } = this.#setting.rig;
    this.open += 1;
    life.addEventListener("abort", () => (this.open = 0), { once: true });
    const ended = () => {
      if (!life.aborted) this.open -= 1;
    };
    const promise = work(life);
    promise.then(ended, ended);
    return promise;
  }
}

function timeout(clock: FakeClock, afterMs: number): AbortSignal {
  const controller = new AbortController();
  clock.setTimer(afterMs, () => controller.abort(new Error("the operator has left")));
  return controller.signal;
}
