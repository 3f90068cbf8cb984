// A bound on those who wait, shared out fairly: while it is reached, a client that holds less than an equal share of it still
// gets in, and the newest of the client that holds most has to go instead. So a flood of one shuts out nobody else.
import { clientOf, type Queued } from "./queued.ts";
import { Line } from "./line.ts";

export interface BoundTerms {
  readonly most: number;
  /** How much of it one takes. */
  amountOf(queued: Queued): number;
  /** That it is reached, in words. */
  readonly reached: string;
}

interface Holding<Q> {
  readonly line: Line<Q>;
  amount: number;
}

/** Every operation takes the same time however many wait, but for `greediest`, which looks at each client. */
export class Bound<Q extends Queued> {
  readonly #terms: BoundTerms;
  readonly #clients = new Map<string, Holding<Q>>();
  #amount = 0;

  constructor(terms: BoundTerms) {
    this.#terms = terms;
  }

  get reached(): string {
    return this.#terms.reached;
  }

  /** Whether there is room for it, or there ought to be: then those who hold more than their share have to make it. */
  admits(queued: Queued): boolean {
    const { most } = this.#terms;
    const amount = this.#terms.amountOf(queued);
    if (this.#amount + amount <= most) return true;
    const held = this.#clients.get(clientOf(queued));
    const clients = this.#clients.size + (held === undefined ? 1 : 0);
    // Rounded down, whoever has to go held at least two more than who comes in: they never push each other out by turns.
    return (held?.amount ?? 0) + amount <= Math.floor(most / clients);
  }

  /** More waits than may: somebody has just been admitted who has his share to get. */
  get isOver(): boolean {
    return this.#amount > this.#terms.most;
  }

  /** The newest of the client that holds most. */
  get greediest(): Q | undefined {
    let most: Holding<Q> | undefined;
    for (const holding of this.#clients.values())
      if (most === undefined || holding.amount > most.amount) most = holding;
    return most?.line.last;
  }

  add(queued: Q): void {
    const client = clientOf(queued);
    const holding = this.#clients.get(client) ?? { line: new Line<Q>(), amount: 0 };
    const amount = this.#terms.amountOf(queued);
    holding.line.add(queued);
    holding.amount += amount;
    this.#amount += amount;
    this.#clients.set(client, holding);
  }

  delete(queued: Q): void {
    const client = clientOf(queued);
    const holding = this.#clients.get(client);
    if (holding === undefined || !holding.line.delete(queued)) return;
    const amount = this.#terms.amountOf(queued);
    holding.amount -= amount;
    this.#amount -= amount;
    if (holding.line.size === 0) this.#clients.delete(client);
  }
}
