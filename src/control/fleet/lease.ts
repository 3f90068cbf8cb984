// The right to one request on one replica, as the data plane holds it.
import { messageOf } from "../../errors.ts";
import type { Replica } from "../replica.ts";

/** The part of the fleet a lease goes back to. */
interface LeaseOwner {
  release(replica: Replica): void;
  suspect(replica: Replica, why: string): void;
}

/** What the fleet has to know of a request that may have to wait. */
export interface RequestSize {
  readonly bodyBytes: number;
}

/** What became of a request; structurally the data plane's `Outcome`. */
export interface LeaseOutcome {
  readonly kind: "completed" | "client_gone" | "unreachable" | "broken";
  readonly error?: Error;
}

export class ReplicaLease {
  readonly address: URL;
  readonly coldStart: boolean;
  readonly #owner: LeaseOwner;
  readonly #replica: Replica;
  #open = true;

  constructor(owner: LeaseOwner, replica: Replica, address: URL, coldStart: boolean) {
    this.#owner = owner;
    this.#replica = replica;
    this.address = address;
    this.coldStart = coldStart;
  }

  get replica(): string {
    return this.#replica.name;
  }

  /** Only a replica that cannot be reached loses its place; a broken answer may be the request's own doing. */
  report(outcome: LeaseOutcome): void {
    if (outcome.kind === "unreachable")
      this.#owner.suspect(this.#replica, `not reachable: ${messageOf(outcome.error)}`);
  }

  /** Idempotent: the slot is given back once. */
  release(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#owner.release(this.#replica);
  }
}
