// What must hold between any two moments, whatever happens.
import { LABELS, type LaunchSpec } from "../../src/catalog/launch-spec.ts";
import type { Replica } from "../../src/control/replica.ts";
import type { FakeContainer } from "../support/fake-world.ts";
import type { Rig } from "../support/make-plane.ts";
import { HOLD_MS } from "./scenery.ts";

/** Two lists of the runtime and the longest stop. */
const LEFTOVER_AGE_MS = 60_000;
/** A list whose answer is lost, one that comes late, and the pause between them. */
const NOTICED_WITHIN_MS = 80_000;
/** More starts of one recipe than this in ten seconds are a storm, whoever asks for them. */
const STORM = 12;
/** What operators of a simulation ask for by count. */
export const MOST_ORDERED = 3;
/** Said by the journal of a replica that failed: expected here; any other error is a broken contract. */
const EXPECTED = '"msg":"replica failed"';
/** Shares are sums of decimals. */
const SLACK = 1e-9;

export class Invariants {
  readonly #rig: Rig;
  /** Lines of the gateway's log at level error. */
  readonly #errors: string[];
  readonly #broken: string[] = [];
  /** Containers that the fleet does not know, and since when. */
  readonly #strangers = new Map<string, number>();
  readonly #attempts = new Map<string, number[]>();
  readonly #shares = new Map<string, number>();

  constructor(rig: Rig, errors: string[]) {
    this.#rig = rig;
    this.#errors = errors;
    rig.world.onAttempt = (spec) => this.#onAttempt(spec);
    rig.events.follow(({ type, replica }) => {
      if (type === "replica:adopted" && replica !== undefined) this.#onAdopted(replica);
    });
  }

  /** A new gateway has to find everything first. */
  rebooted(): void {
    this.#strangers.clear();
  }

  /** For those who notice more than can be seen from here. */
  readonly blame = (what: string): void => {
    this.#broken.push(what);
  };

  /** Throws when one is broken. */
  check(): void {
    if (this.#errors.length > 0) this.#checkErrors();
    this.#checkReplicas();
    this.#checkRequests();
    for (const container of this.#rig.world.containers.values()) this.#checkKnown(container);
    const broken = [...this.#rig.world.violations, ...this.#broken];
    if (broken.length > 0) throw new Error(broken.join("; "));
  }

  #checkErrors(): void {
    for (const line of this.#errors) if (!line.includes(EXPECTED)) this.blame(`logged: ${line}`);
    this.#errors.length = 0;
  }

  #checkReplicas(): void {
    const { plane, world } = this.#rig;
    this.#shares.clear();
    for (const replica of plane.fleet.replicas.all()) {
      const { name, inFlight, address, identity, state } = replica;
      const served = address === undefined ? 0 : (world.at(address)?.requests.size ?? 0);
      if (inFlight !== served) this.blame(`${name} counts ${inFlight} in flight, and clients hold ${served}`);
      if (inFlight > (replica.recipe?.maxInFlight ?? Infinity)) this.blame(`${name} serves ${inFlight}: too many`);
      if (inFlight > 0 && state !== "ready" && state !== "draining" && !this.#isCut(state))
        this.blame(`${name} serves ${inFlight} while it is ${state}`);
      const waiting = plane.fleet.demand.waiting(replica.model);
      if (waiting > 0 && replica.hasRoom) this.blame(`${waiting} wait although ${name} has room`);
      this.#checkQueue(replica);
      if (this.#isAwake(replica)) this.#addShares(name, identity.gpus, identity.gpuFraction ?? 1);
    }
  }

  /** What it has not read yet is of requests that it has. */
  #checkQueue(replica: Replica): void {
    const { name, inFlight } = replica;
    const { prompts, tokens } = this.#rig.plane.router.queueOf(replica) ?? { prompts: 0, tokens: 0 };
    if (prompts > inFlight) this.blame(`${name} has ${inFlight} requests, and prompts of ${prompts} to read`);
    if (tokens < 0 || (tokens > 0 && prompts === 0))
      this.blame(`${name} has ${tokens} tokens of ${prompts} prompts to read`);
  }

  /** Whether it has the whole of its shares; of one that goes, or was just found, what there is of it tells. */
  #isAwake({ name, state, identity }: Replica): boolean {
    if (state === "sleeping") return false;
    const isLeaving = state === "stopping" || state === "failed";
    if (!isLeaving && !(state === "loading" && identity.adopted)) return true;
    const rest = this.#rig.world.containers.get(name)?.rest;
    return rest !== undefined && rest !== "asleep";
  }

  /** What is still in flight there breaks off in this moment. */
  #isCut(state: string): boolean {
    return state === "stopping" || state === "failed";
  }

  #addShares(name: string, gpus: readonly string[], share: number): void {
    for (const gpu of gpus) {
      const sum = (this.#shares.get(gpu) ?? 0) + share;
      if (sum > 1 + SLACK) this.blame(`${name} and others count on ${sum} of ${gpu}`);
      this.#shares.set(gpu, sum);
    }
  }

  #checkRequests(): void {
    const { connections, clock } = this.#rig;
    for (const { outcome, since, model } of connections) {
      if (outcome === "waiting" && clock.now() - since > HOLD_MS)
        this.blame(`a request for ${model} waits since ${clock.now() - since} ms`);
    }
  }

  /** Every container of ours is in the fleet soon, unless the runtime is away or cannot end it. */
  #checkKnown({ ref, state }: FakeContainer): void {
    const { world, plane, clock } = this.#rig;
    const isExcused = world.outage !== undefined || world.unkillable.has(ref.name);
    if (isExcused || plane.fleet.replicas.find(ref.name)?.ref?.id === ref.id) {
      this.#strangers.delete(ref.id);
      return;
    }
    const since = this.#strangers.get(ref.id) ?? clock.now();
    this.#strangers.set(ref.id, since);
    const isRunning = state === "running" || state === "unresponsive";
    const limitMs = NOTICED_WITHIN_MS + (isRunning ? 0 : LEFTOVER_AGE_MS);
    if (clock.now() - since > limitMs) this.blame(`${ref.name} (${ref.id}) is there and nobody knows it`);
  }

  #onAdopted(name: string): void {
    const { plane, world } = this.#rig;
    const id = plane.fleet.replicas.find(name)?.ref?.id ?? "";
    if (world.stopped.has(id)) this.blame(`${name} (${id}) is taken over, and was stopped before`);
  }

  #onAttempt({ labels, replica }: LaunchSpec): void {
    const { plane, clock } = this.#rig;
    const now = clock.now();
    const recipe = labels[LABELS.recipe] ?? replica;
    const failure = plane.fleet.lastFailure(recipe);
    const isOrdered = plane.fleet.replicas.find(replica)?.reason.startsWith("an operator asked") === true;
    if (failure !== undefined && failure.until > now && !isOrdered)
      this.blame(`${replica} was started ${failure.until - now} ms before the pause of its recipe is over`);
    const recent = [...(this.#attempts.get(recipe) ?? []), now].filter((at) => at > now - 10_000);
    this.#attempts.set(recipe, recent);
    if (recent.length > STORM) throw new Error(`${recent.length} starts of ${recipe} within 10 s`);
  }
}
