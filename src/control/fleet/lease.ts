// The right to one request on one replica, as the data plane holds it.
import type { Assignment } from "../balance/seat.ts";
import type { Replica } from "../replica.ts";

/** The part of the fleet a lease goes back to. */
interface LeaseOwner {
  /** `grant` is the number of the lease. */
  release(replica: Replica, grant: number): void;
  report(replica: Replica, grant: number, outcome: LeaseOutcome): void;
}

/** Who waits is served first where more than one does; each class overtakes the next by a bounded time only. */
export type Priority = "high" | "normal" | "low";

/** What the fleet has to know of a request; structurally the data plane's `RequestHints`. */
export interface RequestTraits {
  readonly bodyBytes: number;
  /** Whose request it is: those who wait are served in turn, client by client. Absent: nobody's in particular. */
  readonly client?: string | undefined;
  /** How many requests of this client are served in its turn; 1 when absent. */
  readonly weight?: number | undefined;
  /** `normal` when absent. */
  readonly priority?: Priority | undefined;
  /** Whether a replica may be started or woken for it; true when absent. */
  readonly mayStart?: boolean | undefined;
  /** Idle time before unload that it asks for; absent: nothing changes. */
  readonly keepAliveMs?: number | undefined;
  /** What its engine will have to read; absent where nothing is known of it. */
  readonly prompt?: Prompt | PromptDigest;
  /** Requests of one session are best served by one replica. */
  readonly session?: string | undefined;
  /** False: nothing of its answer is seen before all of it is there. */
  readonly stream?: boolean;
}

/** The bytes of a request that an engine computes with, in the order in which it puts them together. */
export interface Prompt {
  readonly body: Buffer;
  readonly spans: readonly { readonly start: number; readonly end: number }[];
}

/** What balancing has to know of a prompt that itself is elsewhere. */
export interface PromptDigest {
  readonly tokens: number;
  /** The hashes of its blocks. */
  readonly blocks: Uint32Array;
}

/** What became of a request; structurally the data plane's `Outcome`. */
export interface LeaseOutcome {
  readonly kind: "completed" | "client_gone" | "unreachable" | "broken" | "timeout" | "bad_answer";
  readonly error?: Error;
}

export class ReplicaLease {
  readonly address: URL;
  readonly coldStart: boolean;
  readonly #owner: LeaseOwner;
  readonly #assignment: Assignment;
  readonly #grant: number;
  #open = true;

  constructor(owner: LeaseOwner, assignment: Assignment, address: URL, coldStart: boolean) {
    this.#owner = owner;
    this.#assignment = assignment;
    this.#grant = assignment.replica.lastGrant;
    this.address = address;
    this.coldStart = coldStart;
  }

  get replica(): string {
    return this.#assignment.replica.name;
  }

  /** The answer has begun: its prompt has been read. Idempotent. */
  firstByte(): void {
    if (this.#open) this.#assignment.begun();
  }

  /** What became of the request, for those who choose who gets the next. */
  report(outcome: LeaseOutcome): void {
    this.#owner.report(this.#assignment.replica, this.#grant, outcome);
  }

  /** Idempotent: the slot is given back once. */
  release(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#assignment.ended();
    this.#owner.release(this.#assignment.replica, this.#grant);
  }
}
