// Replicas whose requests fail are left out of the choice for a while: a second, then twice as long each time, up to a minute.
//
//   trusted   takes requests; one that fails makes it
//   left out  takes none until its time is over, which makes it
//   on trial  takes one request; success makes it trusted, another failure leaves it out for twice as long
//
// Where all that serve a model are left out or on trial, they serve all the same: bad answers are better than none. A part of
// the fleet: synchronous.
import type { Clock, Timer } from "../../lib/clock.ts";
import { formatDuration } from "../../lib/units.ts";
import type { Journal } from "../journal.ts";
import type { Replica } from "../replica.ts";
import type { Ejection } from "./ejection.ts";

const FIRST_MS = 1_000;
const LONGEST_MS = 60_000;

export interface EjectionsDeps {
  readonly clock: Clock;
  readonly replicasOf: (model: string) => readonly Replica[];
  /** One of the model may take a request again. */
  readonly onOpen: (model: string) => void;
  readonly journal: Pick<Journal, "ejected" | "trusted">;
}

interface Case extends Ejection {
  /** The number of the last lease that was given when it was left out: what became of earlier ones is old news. */
  readonly outAt: number;
  /** The same of when its trial began; undefined before. */
  trialAt: number | undefined;
  /** The lease that its trial is about. */
  trial: number | undefined;
  readonly timer: Timer;
}

export class Ejections {
  readonly #deps: EjectionsDeps;
  readonly #cases = new Map<Replica, Case>();
  /** The number of the last lease that was given. */
  #grants = 0;

  constructor(deps: EjectionsDeps) {
    this.#deps = deps;
  }

  /** It was given the lease of this number. The hot path. */
  granted(replica: Replica, grant: number): void {
    this.#grants = grant;
    if (this.#cases.size === 0) return;
    const held = this.#cases.get(replica);
    if (held?.trialAt === undefined || held.trial !== undefined) return;
    held.trial = grant;
    this.review(replica.model);
  }

  /** A request on it failed. Those that had begun before it was left out say nothing new: many fail at once. */
  failed(replica: Replica, grant: number, why: string): void {
    const held = this.#cases.get(replica);
    if (replica.state !== "ready" || (held !== undefined && !(grant > (held.trialAt ?? Infinity)))) return;
    const failures = (held?.failures ?? 0) + 1;
    const forMs = Math.min(LONGEST_MS, FIRST_MS * 2 ** (failures - 1));
    const timer = this.#deps.clock.setTimer(forMs, () => this.#try(replica));
    const ejection = { why, failures, forMs, until: this.#deps.clock.now() + forMs };
    this.#cases.set(replica, { ...ejection, outAt: this.#grants, trialAt: undefined, trial: undefined, timer });
    replica.ejection = ejection;
    replica.reason = `left out for ${formatDuration(forMs)}: ${why}`;
    this.#deps.journal.ejected(replica, ejection);
    this.review(replica.model);
  }

  /** It gave a whole answer. */
  succeeded(replica: Replica, grant: number): void {
    const held = this.#cases.get(replica);
    if (held === undefined || grant <= held.outAt) return;
    this.forget(replica);
    this.#deps.journal.trusted(replica);
  }

  /** The lease of this number was given back; without success and failure it was no trial. */
  released(replica: Replica, grant: number): void {
    const held = this.#cases.get(replica);
    if (held?.trial !== grant) return;
    held.trial = undefined;
    this.review(replica.model);
  }

  /** It takes no more requests, or there is nothing against it any more. */
  forget(replica: Replica): void {
    this.#cases.get(replica)?.timer.cancel();
    if (!this.#cases.delete(replica)) return;
    const wasOut = replica.isLeftOut;
    replica.ejection = undefined;
    replica.isLeftOut = false;
    if (replica.isServing) replica.reason = "ready";
    this.review(replica.model);
    if (wasOut) this.#deps.onOpen(replica.model);
  }

  /** Which replicas serve the model has changed, or what is held against one: sets who is left out. */
  review(model: string): void {
    if (this.#cases.size === 0) return;
    const replicas = this.#deps.replicasOf(model);
    const isTrusted = (one: Replica) => one.isServing && !this.#cases.has(one);
    const mayLeaveOut = replicas.some(isTrusted);
    let opened = false;
    for (const replica of replicas) {
      const wasOut = replica.isLeftOut;
      replica.isLeftOut = mayLeaveOut && this.#isOut(replica);
      opened ||= wasOut && !replica.isLeftOut;
    }
    if (opened) this.#deps.onOpen(model);
  }

  #isOut(replica: Replica): boolean {
    const held = this.#cases.get(replica);
    return held !== undefined && (held.trialAt === undefined || held.trial !== undefined);
  }

  /** No timer is left. */
  close(): void {
    for (const { timer } of this.#cases.values()) timer.cancel();
  }

  #try(replica: Replica): void {
    const held = this.#cases.get(replica);
    if (held === undefined) return;
    held.trialAt = this.#grants;
    this.review(replica.model);
  }
}
