// What is under way (requests, connections, answers), to be ended when its time is up. An array that closes its gaps, not a
// Set: a Set that members come and go through leaves tables behind that hold on to them until the next full collection, and
// every scavenge copies them.
export interface Member {
  /** Where it stands in the list; the list's own. */
  place: number;
}

export class UnderWay<T extends Member> {
  readonly #members: T[] = [];

  add(member: T): void {
    member.place = this.#members.push(member) - 1;
  }

  delete(member: T): void {
    const last = this.#members.pop();
    if (last === undefined || last === member) return;
    this.#members[member.place] = last;
    last.place = member.place;
  }

  get size(): number {
    return this.#members.length;
  }

  /** Those that are under way now. */
  all(): readonly T[] {
    return [...this.#members];
  }
}
