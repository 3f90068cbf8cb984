// events: what the gateway did, and with -f what it does.
import { eventAnswer, eventsAnswer, readAnswer } from "../answers.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { CliError } from "../failure.ts";
import type { Io } from "../io.ts";
import { withGateway, type Session } from "../session.ts";
import { table } from "../table.ts";

export interface EventsOptions {
  readonly follow?: boolean;
  /** The first words of the type. */
  readonly type?: string;
  readonly model?: string;
  readonly replica?: string;
  readonly json?: boolean;
}

/** Wide enough for the types there are, so that rows that come one by one line up. */
const TYPE_WIDTH = 27;

export function events(io: Io, options: EventsOptions): Promise<ExitCode> {
  return withGateway(io, (session) => (options.follow ? follow(session, options) : list(session, options)));
}

async function list({ client, terminal }: Session, options: EventsOptions): Promise<ExitCode> {
  const answer = await client.get(pathOf(options));
  if (options.json) await terminal.printJson(answer);
  else {
    const rows = readAnswer(eventsAnswer, answer).events.map(({ time, type, message }) => [time, type, message]);
    await terminal.print(table(["TIME", "TYPE", "MESSAGE"], rows));
  }
  return EXIT.ok;
}

/** Ends only by Ctrl-C, or with the gateway. */
async function follow({ client, terminal }: Session, options: EventsOptions): Promise<ExitCode> {
  for await (const line of client.lines(pathOf(options), { accept: "text/event-stream" })) {
    if (!line.startsWith("data: ")) continue;
    const data = line.slice("data: ".length);
    await terminal.print(options.json ? data : row(readAnswer(eventAnswer, JSON.parse(data))));
  }
  throw new CliError(EXIT.unreachable, "the gateway ended the stream of events", {
    hint: "It is stopping, or this reader was too slow: look again with aim-engine events.",
  });
}

function pathOf({ type, model, replica }: EventsOptions): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries({ type, model, replica })) if (value !== undefined) query.set(key, value);
  return query.size === 0 ? "api/events" : `api/events?${query.toString()}`;
}

function row({ time, type, message }: { time: string; type: string; message: string }): string {
  return `${time}   ${type.padEnd(TYPE_WIDTH)}   ${message}`;
}
