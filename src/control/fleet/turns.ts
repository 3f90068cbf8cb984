// Those of one priority who wait for one model: served client by client in turn, as many of each as its weight says, and each
// client's own in the order they came.
import { Line } from "./line.ts";
import { clientOf, type Queued } from "./queued.ts";

/** One client's place in the round. */
interface Turn<Q> {
  readonly line: Line<Q>;
  weight: number;
  /** How many more it gets before the next client's turn. */
  left: number;
}

export class Turns<Q extends Queued> {
  readonly #everybody = new Line<Q>();
  readonly #byClient = new Map<string, Turn<Q>>();
  /** Whose turn it is comes first. */
  readonly #round = new Line<Turn<Q>>();

  get oldest(): Q | undefined {
    return this.#everybody.first;
  }

  get next(): Q | undefined {
    return this.#round.first?.line.first;
  }

  add(queued: Q): void {
    const turn = this.#turnOf(queued);
    turn.weight = queued.request.weight ?? 1;
    turn.line.add(queued);
    this.#everybody.add(queued);
  }

  /** Its client has had one of what this turn gives it. */
  charge(queued: Q): void {
    const turn = this.#byClient.get(clientOf(queued));
    if (turn === undefined) return;
    turn.left -= 1;
    if (turn.left > 0) return;
    turn.left = turn.weight;
    this.#round.delete(turn);
    this.#round.add(turn);
  }

  /** False when it is not there. */
  delete(queued: Q): boolean {
    const client = clientOf(queued);
    const turn = this.#byClient.get(client);
    if (turn === undefined || !turn.line.delete(queued)) return false;
    this.#everybody.delete(queued);
    if (turn.line.size === 0) {
      this.#byClient.delete(client);
      this.#round.delete(turn);
    }
    return true;
  }

  /** In the order they came. */
  all(): readonly Q[] {
    return this.#everybody.all();
  }

  #turnOf(queued: Q): Turn<Q> {
    const client = clientOf(queued);
    const known = this.#byClient.get(client);
    if (known !== undefined) return known;
    const weight = queued.request.weight ?? 1;
    const turn: Turn<Q> = { line: new Line(), weight, left: weight };
    this.#byClient.set(client, turn);
    this.#round.add(turn);
    return turn;
  }
}
