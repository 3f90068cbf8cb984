// Starting one container so that a name never runs twice and a failed start leaves nothing, also when answers get lost.
import type { ContainerCreateOptions } from "dockerode";
import { LABELS } from "../../catalog/launch-spec.ts";
import { AimError, messageOf } from "../../errors.ts";
import { sleep, type Clock } from "../../lib/clock.ts";
import type { Claims } from "./claims.ts";
import type { Containers } from "./containers.ts";
import { isAnswerLost, statusOf } from "./errors.ts";
import type { Inspected } from "./observe.ts";
import type { BackendRef, StartPhase } from "../driver.ts";

const MAX_TRIES = 5;
const FIRST_PAUSE_MS = 50;
/** What the container's init process searches when the image says nothing. */
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/**
 * Where to look for the server of a replica that had ended before it could be looked at: nothing can listen on port 0, so
 * nobody else's server is taken for it, and its exit is seen with the next list.
 */
const NOWHERE = new URL("http://127.0.0.1:0");

/** A container to be: its name is the lock against a second one. */
export interface NewContainer {
  readonly name: string;
  readonly body: ContainerCreateOptions;
  readonly gpus: readonly string[];
  /** Replicas that may have those at the same time. */
  readonly beside: readonly string[];
}

type Observe = (phase: StartPhase) => void;

/** Creates a container, lets its claim be settled, and starts it. */
export class ContainerStarter {
  readonly #containers: Containers;
  readonly #claims: Claims;
  readonly #clock: Clock;
  /** The last start of each name: starts of one name take turns, so that the second finds what the first has made. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(containers: Containers, claims: Claims, clock: Clock) {
    this.#containers = containers;
    this.#claims = claims;
    this.#clock = clock;
  }

  /** Resolves when it runs, by this start or an earlier one of the same recipe. */
  async start(wanted: NewContainer, observe: Observe, signal: AbortSignal): Promise<BackendRef> {
    const before = this.#turns.get(wanted.name);
    const mine = Promise.allSettled([before]).then(() => this.#startNow(wanted, observe, signal));
    this.#turns.set(wanted.name, mine);
    try {
      return await mine;
    } finally {
      if (this.#turns.get(wanted.name) === mine) this.#turns.delete(wanted.name);
    }
  }

  async #startNow(wanted: NewContainer, observe: Observe, signal: AbortSignal): Promise<BackendRef> {
    signal.throwIfAborted();
    observe({ kind: "creating" });
    const made = await this.#make(wanted, signal);
    if (made.kind === "running") return announce(made.replica, observe);
    try {
      await this.#requireProgram(made.id, wanted, signal);
      // Last, so that no time passes between the look and the start.
      await this.#claims.settle({ id: made.id, gpus: wanted.gpus, beside: wanted.beside }, signal);
      await this.#containers.start(made.id, signal);
      const started = await this.#containers.inspect(made.id, signal);
      if (started === undefined)
        throw new AimError("runtime_failed", `container ${wanted.name} was removed while it was started`);
      const ref = announce(started, observe);
      signal.throwIfAborted();
      return ref;
    } catch (error) {
      throw await this.#discard(made.id, wanted.name, error);
    }
  }

  /** Makes the container, or finds the one that runs already. Remains of an earlier start give way. */
  async #make(wanted: NewContainer, signal: AbortSignal): Promise<Made> {
    let pauseMs = FIRST_PAUSE_MS;
    for (let tries = 1; ; tries++) {
      signal.throwIfAborted();
      try {
        // Not abortable: a request taken back half-way may still be carried out. Its answer is awaited instead, and undone.
        return { kind: "created", id: await this.#containers.create(wanted.name, wanted.body, patient()) };
      } catch (error) {
        if (statusOf(error) !== 409 && !isAnswerLost(error)) throw error;
        const inTheWay = await this.#containers.inspect(wanted.name, patient());
        if (inTheWay !== undefined && isRunningFor(wanted, inTheWay)) return { kind: "running", replica: inTheWay };
        if (inTheWay !== undefined) await this.#containers.remove(inTheWay.ref.id, patient());
        if (tries === MAX_TRIES) throw error;
      }
      await sleep(this.#clock, pauseMs, signal);
      pauseMs *= 2;
    }
  }

  /**
   * With an init process of Docker's as PID 1 a missing program is no failed start but an exit a moment later, so it is
   * looked for beforehand.
   */
  async #requireProgram(id: string, wanted: NewContainer, signal: AbortSignal): Promise<void> {
    const program = wanted.body.Entrypoint?.[0] ?? "";
    const created = await this.#containers.inspect(id, signal);
    const path = created?.env.find((entry) => entry.startsWith("PATH="))?.slice("PATH=".length) ?? DEFAULT_PATH;
    // One with a slash is taken as it is, and relative to a folder of the image's that we do not know.
    if (program.includes("/") && !program.startsWith("/")) return;
    const places = program.startsWith("/") ? [program] : path.split(":").map((folder) => `${folder}/${program}`);
    for (const place of places) if (await this.#containers.hasFile(id, place, signal)) return;
    throw new AimError(
      "runtime_failed",
      `there is no program ${program} in image ${wanted.body.Image} (looked for ${places.join(", ")}); correct the recipe's image or command`,
      { data: { failure: "bad_argument" } },
    );
  }

  /** The error to reject with, once the container is gone: also when the caller has lost interest. */
  async #discard(id: string, name: string, error: unknown): Promise<unknown> {
    try {
      await this.#containers.remove(id, patient());
      return error;
    } catch (failure) {
      return new AimError(
        "runtime_failed",
        `${messageOf(error)}; and container ${name} is left behind: ${messageOf(failure)}; remove it with "docker rm -f ${name}"`,
        { cause: error },
      );
    }
  }
}

type Made =
  | { readonly kind: "created"; readonly id: string }
  | { readonly kind: "running"; readonly replica: Inspected };

/** For what has to be finished even if nobody waits for it; everything is bounded by its own deadline. */
function patient(): AbortSignal {
  return new AbortController().signal;
}

function announce(replica: Inspected, observe: Observe): BackendRef {
  observe({ kind: "started", ref: replica.ref, address: replica.address ?? NOWHERE });
  return replica.ref;
}

/** False for remains that may be removed; throws where something is in the way that may not. */
function isRunningFor(wanted: NewContainer, found: Inspected): boolean {
  const labels = wanted.body.Labels ?? {};
  const isOurs = found.labels[LABELS.installation] === labels[LABELS.installation];
  if (!isOurs) throw inTheWay(wanted, "was not made by this installation; rename or remove it");
  if (found.state === "created" || found.state === "exited") return false;
  if (found.state === "unresponsive") throw inTheWay(wanted, `is paused; "docker unpause ${wanted.name}" or stop it`);
  if (found.labels[LABELS.recipeHash] !== labels[LABELS.recipeHash])
    throw inTheWay(wanted, "runs from another version of its recipe; stop it first");
  if (found.labels[LABELS.gpus] !== labels[LABELS.gpus])
    throw inTheWay(wanted, `runs on other GPUs (${found.labels[LABELS.gpus]}); stop it first`);
  return true;
}

function inTheWay(wanted: NewContainer, why: string): AimError {
  return new AimError("runtime_failed", `a container named ${wanted.name} is in the way: it ${why}`);
}
