// What is compared: a proxy that can be started in front of a mock backend.
import { join } from "node:path";
import type { Native } from "./native.ts";
import { awaitListening, endGroup, freePort, groupOf, startPinned, waitFor, pidsOfProgram } from "./processes.ts";

export interface Variant {
  readonly name: string;
  readonly about: string;
  /** Why it cannot be run here; undefined when it can. What can be fetched is fetched now. */
  whyMissing(): string | undefined;
  start(place: Place): Promise<Running>;
}

export interface Place {
  readonly native: Native;
  /** For its files alone. */
  readonly folder: string;
  /** The processors of the proxy and of the load side. */
  readonly cpus: { readonly proxy: string; readonly load: string };
  readonly realtime: boolean;
  /** Where our own CPU profile goes, where one is wanted. */
  readonly profile?: string | undefined;
}

export interface Running {
  readonly port: number;
  /** Whose CPU time and memory is the proxy's. */
  pids(): readonly number[];
  readonly mockPids: readonly number[];
  /** Header lines that it needs beside the usual. */
  readonly headers: readonly string[];
  stop(): Promise<void>;
}

/** The model that the mock backend serves. */
export const MODEL = "bench";
/** The key that every request brings; only our gateway looks at it. */
export const KEY = "bench-key-of-a-client";

/** The file in its folder that has what a proxy says. */
export const OUTPUT = "output.log";

/** How a program is made to listen on one port and pass everything on to another. */
export interface Recipe {
  argv(ports: { readonly listen: number; readonly backend: number }): Promise<readonly string[]>;
  readonly env?: Readonly<Record<string, string>>;
  readonly headers?: (backend: number) => readonly string[];
}

/** Starts a mock backend and a proxy in front of it. */
export async function startBoth(place: Place, recipe: Recipe): Promise<Running> {
  const backend = await startMock(place);
  const port = await freePort();
  const { env = {}, headers } = recipe;
  const argv = await recipe.argv({ listen: port, backend: backend.port });
  const { cpus, realtime, folder } = place;
  const child = startPinned({ argv, cpus: cpus.proxy, realtime, log: join(folder, OUTPUT), env });
  const stop = async () => {
    await endGroup(child);
    await backend.stop();
  };
  try {
    await awaitListening(port, child);
    return {
      port,
      pids: () => groupOf(child),
      mockPids: backend.mockPids,
      headers: headers?.(backend.port) ?? [],
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The mock backend by itself, which is also what is asked directly. */
export async function startMock({ native, folder, cpus, realtime }: Place): Promise<Running> {
  const port = await freePort();
  const argv = [native.mock, String(port), MODEL];
  const child = startPinned({ argv, cpus: cpus.load, realtime, log: join(folder, "mock.log") });
  await awaitListening(port, child);
  return { port, pids: () => [], mockPids: groupOf(child), headers: [], stop: () => endGroup(child) };
}

/** A mock backend that somebody else starts and ends: who it is. */
export async function findMock({ native }: Place): Promise<readonly number[]> {
  await waitFor(() => pidsOfProgram(native.mock).length > 0, 10_000);
  return pidsOfProgram(native.mock);
}

/** Ends mock backends that whoever started them has left behind. */
export function endMocks({ mock }: Native): void {
  for (const pid of pidsOfProgram(mock)) process.kill(pid, "SIGKILL");
}
