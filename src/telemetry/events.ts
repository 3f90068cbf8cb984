// What happened, for people: a bounded ring of events and those who follow it.
import type { Clock } from "../lib/clock.ts";

/** `type` is noun:phase or noun:phase:outcome, e.g. "replica:ready", "decision:stop:evicted". */
export interface EngineEvent {
  /** Rises by one per event. */
  readonly id: number;
  /** ISO 8601, UTC. */
  readonly time: string;
  readonly type: string;
  /** One sentence. */
  readonly message: string;
  readonly model?: string;
  readonly replica?: string;
}

export type NewEvent = Omit<EngineEvent, "id" | "time">;

interface Kept {
  readonly id: number;
  /** Written out only for those who look. */
  readonly wallMs: number;
  readonly event: NewEvent;
}

/** Keeps the last events; a slow follower is its own problem, since followers are called synchronously and must not block. */
export class EventLog {
  readonly #clock: Clock;
  readonly #capacity: number;
  /** The event of an id lies at `(id - 1) % capacity`. */
  readonly #ring: Kept[] = [];
  readonly #followers = new Set<(event: EngineEvent) => void>();
  #nextId = 1;

  constructor(clock: Clock, capacity = 1000) {
    this.#clock = clock;
    this.#capacity = capacity;
  }

  /** False where nobody will ever see an event: then none has to be put into words. */
  get isHeeded(): boolean {
    return this.#capacity > 0 || this.#followers.size > 0;
  }

  publish(event: NewEvent): void {
    const entry = { id: this.#nextId++, wallMs: this.#clock.wallNow(), event };
    if (this.#capacity > 0) this.#ring[(entry.id - 1) % this.#capacity] = entry;
    if (this.#followers.size === 0) return;
    const written = writeOut(entry);
    for (const follower of this.#followers) follower(written);
  }

  /** Events after `id`, oldest first; those that fell out of the ring are lost. */
  since(id: number): readonly EngineEvent[] {
    const oldest = this.#nextId - this.#ring.length;
    const events: EngineEvent[] = [];
    for (let next = Math.max(id + 1, oldest); next < this.#nextId; next++) {
      const entry = this.#ring[(next - 1) % this.#capacity];
      if (entry !== undefined) events.push(writeOut(entry));
    }
    return events;
  }

  /** The id of the last event; 0 before the first. */
  get newest(): number {
    return this.#nextId - 1;
  }

  /** Returns the unsubscribe function. */
  follow(follower: (event: EngineEvent) => void): () => void {
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  get followers(): number {
    return this.#followers.size;
  }
}

function writeOut({ id, wallMs, event }: Kept): EngineEvent {
  return { id, time: new Date(wallMs).toISOString(), ...event };
}
