// What a command that asks the gateway works with, opened and closed around it.
import { clientSettings } from "../config.ts";
import { deadline, type Clock } from "../lib/clock.ts";
import { formatDuration } from "../lib/units.ts";
import { AdminClient } from "./client.ts";
import { EXIT } from "./exit-codes.ts";
import { CliError } from "./failure.ts";
import type { Io } from "./io.ts";
import { Terminal } from "./terminal.ts";

export interface Session {
  readonly client: AdminClient;
  readonly terminal: Terminal;
  readonly clock: Clock;
}

/** Runs the work with a client that ends with the signal (Ctrl-C unless another is given). */
export async function withGateway<T>(
  io: Io,
  work: (session: Session) => Promise<T>,
  signal: AbortSignal = io.interruptSignal(),
): Promise<T> {
  const client = new AdminClient(clientSettings(io.env), signal);
  try {
    return await work({ client, terminal: new Terminal(io), clock: io.clock });
  } finally {
    await client.close();
  }
}

export interface TimeLimit {
  /** No limit where absent. */
  readonly timeoutMs: number | undefined;
  /** What has not happened by then: "not ready". */
  readonly missed: string;
}

/** As `withGateway`, for no longer than the limit: then it fails as timed out. */
export async function withGatewayFor<T>(
  io: Io,
  { timeoutMs = Infinity, missed }: TimeLimit,
  work: (session: Session, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const tooLate = () => new CliError(EXIT.timedOut, `${missed} after ${formatDuration(timeoutMs)}`);
  const limit = deadline(io.clock, timeoutMs, tooLate, io.interruptSignal());
  try {
    return await withGateway(io, (session) => work(session, limit.signal), limit.signal);
  } finally {
    limit.done();
  }
}
