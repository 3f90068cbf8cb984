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
  readonly clock: Clock;
  /** Ends the stream cleanly, so that a gateway that stops is not held up by its followers. */
  readonly signal: AbortSignal;
  /** Called when the client reads too slowly. */
  onDropped(): void;
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
export function missedEvents(options: Pick<EventStreamOptions, "events" | "since">): readonly EngineEvent[] {
  const all = options.events.since(0);
  const newest = all.at(-1)?.id ?? 0;
  return options.since > newest ? all : options.events.since(options.since);
}

function attach(controller: ReadableStreamDefaultController<Uint8Array>, options: EventStreamOptions): () => void {
  const { clock, events, signal } = options;
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
  const unfollow = events.follow((event) => send(frame(event)));
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) end();
  return release;
}

function frame(event: EngineEvent): string {
  return `id: ${event.id}\ndata: ${JSON.stringify(event)}\n\n`;
}
