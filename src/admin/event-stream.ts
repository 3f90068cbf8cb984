// The event log as server-sent events: what the client missed, then what happens, until the client goes.
import type { Clock } from "../lib/clock.ts";
import type { EngineEvent, EventLog } from "../telemetry/events.ts";

/** Proxies and browsers drop a connection that is silent for long. */
export const HEARTBEAT_MS = 15_000;

/** What may lie unread for one follower before it is dropped; it can come back with `Last-Event-ID`. */
export const MAX_UNREAD_BYTES = 1024 * 1024;

export interface EventStreamOptions {
  readonly events: EventLog;
  /** Only events with a higher id are sent. */
  readonly since: number;
  /** Those that somebody wants to hear of; all when absent. */
  readonly filter?: EventFilter;
  readonly clock: Clock;
  /** Ends the stream cleanly, so that a gateway that stops is not held up by its followers. */
  readonly signal: AbortSignal;
  /** Called when the client reads too slowly. */
  onDropped(): void;
}

/** What events are to be about; what is absent does not matter. */
export interface EventFilter {
  /** The first words of a type: "decision" or "decision:stop" of "decision:stop:evicted". */
  readonly type?: string;
  readonly model?: string;
  readonly replica?: string;
}

const encoder = new TextEncoder();

/** Ends by itself only when dropped or stopped; cancelling it lets go of the log. */
export function eventStream(options: EventStreamOptions): ReadableStream<Uint8Array> {
  const missed = encoder.encode(`retry: 2000\n\n${missedEvents(options).map(frame).join("")}`);
  let release = () => {};
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        controller.enqueue(missed);
        release = attach(controller, options);
      },
      cancel: () => release(),
    },
    new ByteLengthQueuingStrategy({ highWaterMark: missed.byteLength + MAX_UNREAD_BYTES }),
  );
}

/** Ids begin anew when the gateway restarts: a client that has seen more than there is has seen another gateway. */
export function missedEvents({ events, since, filter }: MissedOptions): readonly EngineEvent[] {
  return events.since(since > events.newest ? 0 : since).filter((event) => passes(event, filter));
}

type MissedOptions = Pick<EventStreamOptions, "events" | "since" | "filter">;

function passes(event: EngineEvent, { type, model, replica }: EventFilter = {}): boolean {
  return (
    (type === undefined || event.type === type || event.type.startsWith(`${type}:`)) &&
    (model === undefined || event.model === model) &&
    (replica === undefined || event.replica === replica)
  );
}

function attach(controller: ReadableStreamDefaultController<Uint8Array>, options: EventStreamOptions): () => void {
  const { clock, events, signal, filter } = options;
  const release = () => {
    timer.cancel();
    unfollow();
    signal.removeEventListener("abort", end);
  };
  const end = () => {
    release();
    controller.close();
  };
  const send = (text: string) => {
    controller.enqueue(encoder.encode(text));
    if ((controller.desiredSize ?? 0) > 0) return;
    end();
    options.onDropped();
  };
  const beat = () => {
    timer = clock.setTimer(HEARTBEAT_MS, beat);
    send(":\n\n");
  };
  let timer = clock.setTimer(HEARTBEAT_MS, beat);
  const unfollow = events.follow((event) => {
    if (passes(event, filter)) send(frame(event));
  });
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) end();
  return release;
}

function frame(event: EngineEvent): string {
  return `id: ${event.id}\ndata: ${JSON.stringify(event)}\n\n`;
}
