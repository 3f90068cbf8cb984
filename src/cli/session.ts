// What a command that asks the gateway works with, opened and closed around it.
import { clientSettings } from "../config.ts";
import type { Clock } from "../lib/clock.ts";
import { AdminClient } from "./client.ts";
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
