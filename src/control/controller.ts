// The control loop: whenever the fleet changes, plan, apply the actions in the same tick, and see to it that every replica
// has the effect running that its state calls for. Level-triggered: it looks at states, not at who changed them.
import { AimError } from "../errors.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import type { Loop } from "../lib/loop.ts";
import type { RuntimeName } from "../catalog/recipe.ts";
import type { ReplicaExit } from "../runtime/driver.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Fleet } from "./fleet.ts";
import type { Journal } from "./journal.ts";
import type { Launcher } from "./launcher.ts";
import type { Action, Plan } from "./planner/actions.ts";
import type { Reaper } from "./reaper.ts";
import type { Circumstances } from "./reconciler.ts";
import type { Replica, ReplicaState } from "./replica.ts";
import type { Sleeper } from "./sleeper.ts";
import type { FleetSnapshot } from "./snapshot.ts";

export interface ControllerDeps {
  readonly clock: Clock;
  readonly fleet: Fleet;
  readonly launcher: Launcher;
  readonly reaper: Reaper;
  readonly sleeper: Sleeper;
  readonly journal: Journal;
  readonly logger: Logger;
  /** Pure: what to do about a snapshot at a time. */
  plan(snapshot: FleetSnapshot, now: number): Plan;
}

interface Task {
  readonly kind: "bring up" | "put to sleep" | "wake" | "take down";
  readonly abort: AbortController;
  readonly ended: Promise<void>;
}

/** The effect that a replica's state calls for. */
const TASKS: Readonly<Partial<Record<ReplicaState, Task["kind"]>>> = {
  pending: "bring up",
  pulling: "bring up",
  starting: "bring up",
  loading: "bring up",
  dozing: "put to sleep",
  waking: "wake",
  stopping: "take down",
  failed: "take down",
};

/** Before an effect that broke its contract is tried again. */
const BROKEN_PAUSE_MS = 5_000;

export class Controller {
  readonly #deps: ControllerDeps;
  readonly #tasks = new Map<Replica, Task>();
  /** Those that are looking into why a replica ended. */
  readonly #inquiries = new Set<Promise<void>>();
  #reconcilers: ReadonlyMap<RuntimeName, Loop> = new Map();
  #timer: Timer | undefined;
  #timerDueAt = Infinity;
  #scheduled = false;
  /** Nothing new is decided any more; what was decided is carried out. */
  #closing = false;
  #stopped = false;

  constructor(deps: ControllerDeps) {
    this.#deps = deps;
    deps.fleet.connect({
      onChange: () => this.#schedule(),
      onIdle: (dueAt) => this.#wakeAt(dueAt),
      onSuspect: (runtime) => this.#reconcilers.get(runtime)?.kick(),
    });
  }

  /** The loops that keep the fleet true to what runs; started by the caller, stopped here. */
  supervise(reconcilers: ReadonlyMap<RuntimeName, Loop>): void {
    this.#reconcilers = reconcilers;
  }

  /** A replica ended although nobody of us ended it: finding out why takes a moment. */
  died(replica: Replica, exit: ReplicaExit | undefined, circumstances: Circumstances): void {
    this.#inquire(replica, this.#deps.launcher.died(replica, exit, circumstances));
  }

  /** A process of it was killed for memory: whether it still serves takes a moment to find out. */
  outOfMemory(replica: Replica): void {
    this.#inquire(replica, this.#deps.launcher.suspectMemory(replica));
  }

  #inquire(replica: Replica, work: Promise<void>): void {
    const inquiry = work
      .catch((error: unknown) => this.#onBroken(replica, error))
      .then(() => void this.#inquiries.delete(inquiry));
    this.#inquiries.add(inquiry);
  }

  /**
   * Stops deciding. Replicas for which `keep` holds go on running, to be adopted by the next gateway; the others are
   * taken down first, for which there is `graceMs`.
   */
  async stop(options: { keep(replica: Replica): boolean; graceMs: number }): Promise<void> {
    const { fleet } = this.#deps;
    fleet.close();
    this.#closing = true;
    const leaving = fleet.replicas.all().filter((replica) => !options.keep(replica));
    for (const replica of leaving) fleet.stop(replica, "shutdown", "the gateway is shutting down", { force: true });
    this.#tick();
    await this.#within(options.graceMs, Promise.all(leaving.map((replica) => replica.whenGone)));
    this.#stopped = true;
    this.#timer?.cancel();
    for (const task of this.#tasks.values()) task.abort.abort(new Error("the gateway is shutting down"));
    await Promise.all([...this.#reconcilers.values()].map((loop) => loop.stop()));
    await Promise.all([...this.#inquiries, ...[...this.#tasks.values()].map((task) => task.ended)]);
  }

  /** Many changes in one go lead to one plan: a hundred first requests are one demand. */
  #schedule(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#tick();
    });
  }

  /** A fault in a decision must not take the requests down that are being served. */
  #tick(): void {
    if (this.#stopped) return;
    try {
      this.#decide();
    } catch (error) {
      this.#deps.logger.error({ err: error }, "planning failed");
    }
  }

  #decide(): void {
    if (!this.#closing) this.#replan();
    for (const replica of this.#deps.fleet.replicas.all()) this.#supervise(replica);
  }

  #replan(): void {
    const { fleet, clock, journal } = this.#deps;
    const snapshot = fleet.snapshot();
    const { actions, holds, wakeAt } = this.#deps.plan(snapshot, clock.now());
    journal.planned(snapshot, { holds });
    for (const action of actions) this.#apply(action);
    // Last: what was started just now is not in vain for those who only wait for what others start.
    fleet.hold(holds);
    this.#timer?.cancel();
    this.#timerDueAt = Infinity;
    if (wakeAt !== undefined) this.#wakeAt(wakeAt);
  }

  #apply(action: Action): void {
    const { fleet, journal } = this.#deps;
    journal.decided(action, "replica" in action ? fleet.replicas.find(action.replica) : undefined);
    switch (action.kind) {
      case "start": {
        const replica = fleet.begin(action, [action.reason, ...action.reasons].join("; "));
        if (action.demand?.kind === "order") {
          fleet.orders.settle(action.demand.id, { replica, created: true, reasons: action.reasons });
        }
        return;
      }
      case "stop": {
        const replica = fleet.replicas.find(action.replica);
        if (replica !== undefined) fleet.stop(replica, action.cause, action.reason);
        if (action.demand !== undefined)
          fleet.orders.note(action.demand.id, `${action.replica} is stopped: ${action.reason}`);
        return;
      }
      case "sleep": {
        const replica = fleet.replicas.find(action.replica);
        if (replica !== undefined) fleet.doze(replica, action.reason);
        return;
      }
      case "wake": {
        const replica = fleet.replicas.find(action.replica);
        if (replica !== undefined) fleet.rouse(replica, action.reason);
        return;
      }
      case "settle": {
        const replica = fleet.replicas.find(action.replica);
        if (replica === undefined) return;
        const { keepAliveMs, pinned } = action.demand.wish ?? {};
        if (keepAliveMs !== undefined) fleet.keep(replica, keepAliveMs);
        if (pinned) fleet.pin(replica, pinned);
        const note =
          keepAliveMs !== undefined && replica.pinned
            ? [`${replica.name} is pinned: it is kept however long it is idle`]
            : [];
        fleet.orders.settle(action.demand.id, { replica, created: false, reasons: [action.reason, ...note] });
        return;
      }
      case "refuse":
        if (action.demand.kind === "order") fleet.orders.settle(action.demand.id, action.error);
        else fleet.refuse(action.demand.request.model, action.error);
    }
  }

  #supervise(replica: Replica): void {
    const { fleet } = this.#deps;
    const task = this.#tasks.get(replica);
    if (task !== undefined) {
      if (task.kind !== "take down" && TASKS[replica.state] !== task.kind)
        task.abort.abort(new AimError("replica_stopped", replica.reason));
      return;
    }
    if (replica.state === "draining" && replica.inFlight === 0) {
      fleet.stop(replica, replica.stopCause ?? "stopped", replica.reason);
    }
    if (replica.state === "pulling" || replica.state === "starting") {
      // Only a launch that broke its contract leaves a replica here.
      fleet.stop(replica, "failed", "its start broke off");
    }
    const kind = TASKS[replica.state];
    if (kind !== undefined) this.#run(replica, kind);
  }

  #effect(replica: Replica, kind: Task["kind"], signal: AbortSignal): Promise<void> {
    const { launcher, reaper, sleeper } = this.#deps;
    switch (kind) {
      case "bring up":
        return replica.state === "pending" ? launcher.launch(replica, signal) : launcher.resume(replica, signal);
      case "put to sleep":
        return sleeper.putToSleep(replica, signal);
      case "wake":
        return sleeper.wake(replica, signal);
      case "take down":
        return reaper.takeDown(replica, signal);
    }
  }

  #run(replica: Replica, kind: Task["kind"]): void {
    const abort = new AbortController();
    const again = (delayMs: number) => {
      this.#tasks.delete(replica);
      if (delayMs === 0) this.#schedule();
      else this.#wakeAt(this.#deps.clock.now() + delayMs);
    };
    const ended = this.#effect(replica, kind, abort.signal).then(
      () => again(0),
      (error: unknown) => {
        this.#onBroken(replica, error);
        // Its state still calls for the effect: at once would be for ever.
        again(BROKEN_PAUSE_MS);
      },
    );
    this.#tasks.set(replica, { kind, abort, ended });
  }

  #onBroken(replica: Replica, error: unknown): void {
    this.#deps.logger.error({ replica: replica.name, err: error }, "an effect broke its contract");
  }

  /** Plans again at that time at the latest. */
  #wakeAt(dueAt: number): void {
    if (dueAt >= this.#timerDueAt || dueAt === Infinity || this.#stopped) return;
    this.#timer?.cancel();
    this.#timerDueAt = dueAt;
    this.#timer = this.#deps.clock.setTimer(Math.max(0, dueAt - this.#deps.clock.now()), () => {
      // Also where nothing new is planned, as while closing.
      this.#timerDueAt = Infinity;
      this.#tick();
    });
  }

  async #within(limitMs: number, work: Promise<unknown>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = this.#deps.clock.setTimer(limitMs, resolve);
    await Promise.race([work, promise]);
    timer.cancel();
  }
}
