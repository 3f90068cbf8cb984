// A line that may be left from anywhere: like a Set, but its first and its last are at hand, and whoever leaves costs the same
// wherever he stands. (A Set looks for its first past all that were there before it, which makes a long queue quadratic.)

interface Place<T> {
  readonly value: T;
  before: Place<T> | undefined;
  behind: Place<T> | undefined;
}

export class Line<T> {
  readonly #places = new Map<T, Place<T>>();
  #first: Place<T> | undefined;
  #last: Place<T> | undefined;

  get size(): number {
    return this.#places.size;
  }

  get first(): T | undefined {
    return this.#first?.value;
  }

  get last(): T | undefined {
    return this.#last?.value;
  }

  /** At its end. */
  add(value: T): void {
    if (this.#places.has(value)) throw new Error("nobody stands in a line twice");
    const place: Place<T> = { value, before: this.#last, behind: undefined };
    this.#places.set(value, place);
    if (this.#last === undefined) this.#first = place;
    else this.#last.behind = place;
    this.#last = place;
  }

  /** False when it is not there. */
  delete(value: T): boolean {
    const place = this.#places.get(value);
    if (place === undefined) return false;
    this.#places.delete(value);
    if (place.before === undefined) this.#first = place.behind;
    else place.before.behind = place.behind;
    if (place.behind === undefined) this.#last = place.before;
    else place.behind.before = place.before;
    return true;
  }

  /** From the first to the last; what is added or deleted meanwhile is not seen. */
  all(): readonly T[] {
    return [...this.#places.keys()];
  }
}
