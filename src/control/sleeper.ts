// Puts replicas to sleep and wakes them. Ends in `sleeping`, `ready` or `failed`, or, when its signal aborts, in whatever
// state somebody else decided on.
//
//   dozing   the engine is told to sleep; when it says so, the memory of its GPUs is watched until it is back
//   waking   the engine is told to wake; when it says so, it is asked for one token
import type { RuntimeName } from "../catalog/recipe.ts";
import { AimError } from "../errors.ts";
import { deadline, sleep, type Clock } from "../lib/clock.ts";
import { orAborted } from "../lib/or-aborted.ts";
import type { Gpu, RuntimeDriver } from "../runtime/driver.ts";
import type { Fleet } from "./fleet.ts";
import type { End } from "./launcher/failure-words.ts";
import type { Nap, Replica } from "./replica.ts";
import { MemoryDrop, residualOf, type Sight } from "./sleeper/gpu-memory.ts";

export interface SleeperDeps {
  readonly clock: Clock;
  readonly fleet: Fleet;
  readonly drivers: ReadonlyMap<RuntimeName, RuntimeDriver>;
  /** Resolves when the engine says that it sleeps; bounded in time, and rejects when the signal aborts. */
  fallAsleep(address: URL, level: 1 | 2, signal: AbortSignal): Promise<void>;
  /** Resolves when the engine says that it is awake; bounded in time, and rejects when the signal aborts. */
  wakeUp(address: URL, level: 1 | 2, signal: AbortSignal): Promise<void>;
  /** Whether its engine generates; resolves within half a minute, and rejects when the signal aborts. */
  generates(address: URL, model: string, signal: AbortSignal): Promise<boolean>;
  /** It serves again. */
  onWoken(replica: Replica): void;
  /** Brings about the end of one that could not be put to sleep or woken. */
  onFailed(replica: Replica, end: End): Promise<void>;
}

const DROP_LIMIT_MS = 60_000;
const LOOK_EVERY_MS = 1_000;
/** A runtime that takes longer to say what its GPUs have in use does not say it. */
const READ_LIMIT_MS = 10_000;

export class Sleeper {
  readonly #deps: SleeperDeps;

  constructor(deps: SleeperDeps) {
    this.#deps = deps;
  }

  /** dozing → sleeping. */
  async putToSleep(replica: Replica, signal: AbortSignal): Promise<void> {
    const { fleet } = this.#deps;
    const level = replica.recipe?.sleep?.level ?? 1;
    try {
      const drop = new MemoryDrop(replica, await this.#look(replica, signal));
      await this.#deps.fallAsleep(addressOf(replica), level, signal);
      await this.#awaitDrop(replica, drop, signal);
      const { residualShare, freedBytes: hostBytes } = drop;
      const nap = { level, ...seen({ residualShare, hostBytes: level === 2 ? 0 : hostBytes }) };
      // It may have been stopped or have died in this very moment, before the signal says so.
      if (replica.state === "dozing") fleet.asleep(replica, nap);
    } catch (error) {
      await this.#fail(replica, { kind: "sleepless", error: asError(error) }, signal);
    }
  }

  /** waking → ready. */
  async wake(replica: Replica, signal: AbortSignal): Promise<void> {
    const { fleet } = this.#deps;
    // One that another gateway put to sleep may have dropped its weights: the order of level 2 does for both.
    const { sleepLevel = 2, model } = replica;
    try {
      const address = addressOf(replica);
      await this.#deps.wakeUp(address, sleepLevel, signal);
      if (!(await this.#deps.generates(address, model, signal)))
        throw new AimError("runtime_failed", "its engine says that it is awake, and generates nothing");
      if (replica.state !== "waking") return;
      fleet.ready(replica);
      this.#deps.onWoken(replica);
    } catch (error) {
      await this.#fail(replica, { kind: "unwakeable", error: asError(error) }, signal);
    }
  }

  /** How one sleeps that was found asleep. */
  async napOf(replica: Replica, signal: AbortSignal): Promise<Nap> {
    return seen({ residualShare: residualOf(await this.#look(replica, signal)) });
  }

  /** Throws when its memory is still in use long after its engine said that it sleeps. */
  async #awaitDrop(replica: Replica, drop: MemoryDrop, signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    const giveUpAt = clock.now() + DROP_LIMIT_MS;
    for (;;) {
      const gpus = await this.#read(replica, signal);
      const state = gpus === undefined ? "unknown" : drop.look(gpus);
      const isLate = clock.now() >= giveUpAt;
      if (state === "settled" || (isLate && state !== "full")) return;
      if (isLate)
        throw new AimError(
          "runtime_failed",
          `its engine says that it sleeps, and ${DROP_LIMIT_MS / 1000} s later the memory of its GPUs is still in use`,
        );
      await sleep(clock, LOOK_EVERY_MS, signal);
    }
  }

  async #look(replica: Replica, signal: AbortSignal): Promise<readonly Sight[]> {
    const { machines, replicas } = this.#deps.fleet;
    const { runtime } = replica.identity;
    return ((await this.#read(replica, signal)) ?? []).map((gpu) => ({
      gpu,
      baselineBytes: machines.book.baselineBytes(runtime, gpu.id),
      others: replicas.holders(runtime, gpu.id).filter((holder) => holder !== replica),
    }));
  }

  /** The GPUs of the replica as they are now; undefined while the runtime does not say. */
  async #read({ identity }: Replica, signal: AbortSignal): Promise<readonly Gpu[] | undefined> {
    const { drivers, clock } = this.#deps;
    const driver = drivers.get(identity.runtime);
    if (driver === undefined || identity.gpus.length === 0) return [];
    const limit = deadline(clock, READ_LIMIT_MS, () => new Error("the runtime does not say"), signal);
    try {
      const gpus = await orAborted(driver.inventory(limit.signal), limit.signal);
      return gpus.filter(({ id }) => identity.gpus.includes(id));
    } catch {
      // The reconciler asks the same question, and reports what is wrong with the runtime.
      signal.throwIfAborted();
      return undefined;
    } finally {
      limit.done();
    }
  }

  async #fail(replica: Replica, end: End, signal: AbortSignal): Promise<void> {
    if (!signal.aborted) await this.#deps.onFailed(replica, end);
  }
}

function seen({
  residualShare,
  hostBytes,
}: {
  residualShare: number | undefined;
  hostBytes?: number | undefined;
}): Nap {
  return {
    ...(residualShare === undefined ? {} : { residualShare }),
    ...(hostBytes === undefined ? {} : { hostBytes }),
  };
}

function addressOf({ name, address }: Replica): URL {
  if (address !== undefined) return address;
  throw new AimError("runtime_failed", `the runtime gave no address for ${name}`);
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error("it could not be reached", { cause: error });
}
