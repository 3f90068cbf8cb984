// What happened, for people: a bounded ring of events and those who follow it.
import type { Clock } from "../lib/clock.ts";

/** `type` is noun:phase or noun:phase:outcome, e.g. "replica:ready", "replica:failed:cause". */
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

export interface NewEvent {
  readonly type: string;
  readonly message: string;
  readonly model?: string;
  readonly replica?: string;
}

/** Keeps the last events; a slow follower is its own problem, since followers are called synchronously and must not block. */
export class EventLog {
  readonly #clock: Clock;
  readonly #capacity: number;
  readonly #ring: EngineEvent[] = [];
  readonly #followers = new Set<(event: EngineEvent) => void>();
  #nextId = 1;

  constructor(clock: Clock, capacity = 1000) {
    this.#clock = clock;
    this.#capacity = capacity;
  }

  publish(event: NewEvent): void {
    const entry: EngineEvent = {
      id: this.#nextId++,
      time: new Date(this.#clock.wallNow()).toISOString(),
      ...event,
    };
    this.#ring.push(entry);
    if (this.#ring.length > this.#capacity) this.#ring.shift();
    for (const follower of this.#followers) follower(entry);
  }

  /** Events after `id`, oldest first; those that fell out of the ring are lost. */
  since(id: number): readonly EngineEvent[] {
    return this.#ring.filter((event) => event.id > id);
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
