// What must hold between any two moments, whatever happens.
import type { LaunchSpec } from "../../src/catalog/launch-spec.ts";
import { LABELS } from "../../src/catalog/launch-spec.ts";
import type { Rig } from "../support/make-plane.ts";
import type { TestRequest } from "../support/test-request.ts";

/** Two lists of the runtime and the longest stop. */
const LEFTOVER_AGE_MS = 60_000;
const NOTICED_WITHIN_MS = 40_000;
/** More starts of one recipe than this in ten seconds are a storm, whoever asks for them. */
const STORM = 12;
/** What operators of a simulation ask for by count. */
export const MOST_ORDERED = 3;
/** Said by the journal of a replica that failed: expected here; any other error is a broken contract. */
const EXPECTED = '"msg":"replica failed"';

export class Invariants {
  readonly #rig: Rig;
  /** Lines of the gateway's log at level error. */
  readonly #errors: string[];
  readonly #broken: string[] = [];
  /** Containers that the fleet does not know, and since when. */
  readonly #strangers = new Map<string, number>();
  readonly #attempts = new Map<string, number[]>();

  constructor(rig: Rig, errors: string[]) {
    this.#rig = rig;
    this.#errors = errors;
    rig.world.onAttempt = (spec) => this.#onAttempt(spec);
  }

  /** A new gateway has to find everything first. */
  rebooted(): void {
    this.#strangers.clear();
  }

  /** Throws when one is broken. `clients` are those that wait or are served. */
  check(clients: readonly TestRequest[]): void {
    this.#broken.push(...this.#rig.world.violations);
    this.#checkErrors();
    this.#checkCounts(clients);
    this.#checkGpus();
    this.#checkWaiters();
    this.#checkStrangers();
    if (this.#broken.length > 0) throw new Error(this.#broken.join("; "));
  }

  #checkErrors(): void {
    for (const line of this.#errors) if (!line.includes(EXPECTED)) this.#broken.push(`logged: ${line}`);
    this.#errors.length = 0;
  }

  #checkCounts(clients: readonly TestRequest[]): void {
    const held = Map.groupBy(
      clients.filter((client) => client.outcome === "serving"),
      (client) => client.lease?.address.href ?? "",
    );
    for (const { name, inFlight, address } of this.#rig.plane.fleet.replicas.all()) {
      const holding = held.get(address?.href ?? "none")?.length ?? 0;
      if (inFlight !== holding) this.#broken.push(`${name} counts ${inFlight} in flight, and clients hold ${holding}`);
    }
  }

  #checkGpus(): void {
    const holders = new Map<string, string>();
    for (const { name, identity } of this.#rig.plane.fleet.replicas.all()) {
      for (const gpu of identity.gpus) {
        const other = holders.get(gpu);
        if (other !== undefined) this.#broken.push(`${name} and ${other} both count on ${gpu}`);
        holders.set(gpu, name);
      }
    }
  }

  #checkWaiters(): void {
    const { fleet } = this.#rig.plane;
    for (const replica of fleet.replicas.all()) {
      const waiting = fleet.demand.waiting(replica.model);
      if (replica.hasRoom && waiting > 0) this.#broken.push(`${waiting} wait although ${replica.name} has room`);
      const limit = replica.recipe?.maxInFlight ?? Infinity;
      if (replica.inFlight > limit) this.#broken.push(`${replica.name} serves ${replica.inFlight}, more than ${limit}`);
    }
    for (const recipe of this.#rig.recipes) {
      const starting = fleet.replicas
        .ofModel(recipe.model)
        .filter(({ isStarting, identity }) => isStarting && !identity.adopted && identity.flags === undefined)
        .filter(({ name }) => name.startsWith(`${recipe.id}-`));
      if (starting.length > Math.max(recipe.replicas.max, MOST_ORDERED))
        this.#broken.push(`${starting.length} replicas of ${recipe.id} are starting`);
    }
  }

  /** Every container of ours is in the fleet soon, unless the runtime is away or cannot end it. */
  #checkStrangers(): void {
    const { world, plane, clock } = this.#rig;
    const known = new Set(plane.fleet.replicas.all().flatMap((replica) => replica.ref?.id ?? []));
    for (const { ref, state } of world.containers.values()) {
      const isExcused = world.outage !== undefined || world.unkillable.has(ref.name);
      if (known.has(ref.id) || isExcused) this.#strangers.delete(ref.id);
      else this.#strangers.set(ref.id, this.#strangers.get(ref.id) ?? clock.now());
      const unknownMs = clock.now() - (this.#strangers.get(ref.id) ?? Infinity);
      const isRunning = state === "running" || state === "unresponsive";
      const limitMs = NOTICED_WITHIN_MS + (isRunning ? 0 : LEFTOVER_AGE_MS);
      if (unknownMs > limitMs) this.#broken.push(`${ref.name} (${ref.id}) runs and nobody knows it`);
    }
  }

  #onAttempt({ labels, replica }: LaunchSpec): void {
    const { plane, clock } = this.#rig;
    const now = clock.now();
    const recipe = labels[LABELS.recipe] ?? replica;
    const failure = plane.fleet.lastFailure(recipe);
    const isOrdered = plane.fleet.replicas.find(replica)?.reason.startsWith("an operator asked") === true;
    if (failure !== undefined && failure.until > now && !isOrdered)
      this.#broken.push(`${replica} was started ${failure.until - now} ms before the pause of its recipe is over`);
    const recent = [...(this.#attempts.get(recipe) ?? []), now].filter((at) => at > now - 10_000);
    this.#attempts.set(recipe, recent);
    if (recent.length > STORM) throw new Error(`${recent.length} starts of ${recipe} within 10 s`);
  }
}
