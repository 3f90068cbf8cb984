// Starting an operating system process that outlives us: the one place that knows child_process.
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { FileHandle } from "node:fs/promises";
import { createServer } from "node:net";
import { AimError, messageOf, codeOf } from "../../errors.ts";
import type { ReplicaExit } from "../driver.ts";
import type { ProcessStat, ProcessTable } from "./table.ts";

export interface Command {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly log: FileHandle;
}

export interface Spawned {
  readonly pid: number;
  /** Its entry in the process table; undefined where there is no such table. */
  readonly stat: ProcessStat | undefined;
  /** Resolves when it has ended; never rejects. */
  readonly exited: Promise<ReplicaExit>;
}

/**
 * Starts a program as the leader of its own session and process group, with nothing that ties it to us: no pipe, no
 * terminal. Rejects with `runtime_failed` when the program cannot be run.
 */
export async function spawnDetached(command: Command, table: ProcessTable): Promise<Spawned> {
  const [program = "", ...args] = command.argv;
  try {
    const output = command.log.fd;
    const child = spawn(program, args, {
      env: command.env,
      detached: true,
      stdio: ["ignore", output, output],
    });
    const { pid = 0 } = child;
    const stat = pid === 0 ? undefined : table.statNow(pid);
    const { promise: exited, resolve } = Promise.withResolvers<ReplicaExit>();
    child.once("exit", (code, signal) => resolve(toExit(code, signal)));
    child.unref();
    await once(child, "spawn");
    return { pid, stat, exited };
  } catch (error) {
    const why = codeOf(error) === "ENOENT" ? "there is no such program; check the recipe and PATH" : messageOf(error);
    throw new AimError("runtime_failed", `cannot run ${program}: ${why}`, { cause: error });
  }
}

/** A port that nobody listens on now and that is not in `taken`: replicas are promised one long before they listen. */
export async function freePort(host: string, taken: ReadonlySet<number>): Promise<number> {
  for (;;) {
    const server = createServer();
    server.listen(0, host);
    await once(server, "listening");
    const address = server.address();
    server.close();
    await once(server, "close");
    if (address !== null && typeof address !== "string" && !taken.has(address.port)) return address.port;
  }
}

/** The kernel does not tell a parent why its child was killed, so that memory was short is never claimed here. */
function toExit(code: number | null, signal: NodeJS.Signals | null): ReplicaExit {
  return { code: code ?? undefined, ...(signal !== null && { signal }), outOfMemory: false };
}
