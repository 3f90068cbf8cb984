// The output of replicas: from Docker while their container is there, from the archive once it is gone.
import { Readable } from "node:stream";
import { LABELS } from "../../catalog/launch-spec.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { BackendRef, LogLine, LogOptions, ObservedReplica } from "../driver.ts";
import { deleteLog } from "../log-file.ts";
import { isAfter, sinceNanos } from "../log-time.ts";
import { Archive, type ArchiveOrigin, type Source } from "./archive.ts";
import { LIMITS, type Docker, type DockerClient } from "./client.ts";
import type { Containers } from "./containers.ts";
import { statusOf } from "./errors.ts";
import { readLogLines } from "./frames.ts";

/** A container, as far as reading its log needs to know it. */
export interface LoggedContainer {
  readonly ref: BackendRef;
  readonly tty: boolean;
}

/** Its output, in batches as they come, from the second of `since` on. Fails with status 404 when it is gone. */
export async function* readContainerLog(
  client: DockerClient,
  { ref, tty }: LoggedContainer,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<readonly LogLine[], void, undefined> {
  const task = `read the logs of container ${ref.name}`;
  // With the query apart: of one that stands in the path, dockerode cuts the last character off.
  const question = { path: `/containers/${ref.id}/logs?`, options: queryOf(options) };
  const stream = await client.open(task, LIMITS.act, signal, (docker, abortSignal) =>
    open(docker, question, abortSignal),
  );
  yield* readLogLines(stream, { tty });
}

export interface ReplicaLogsOptions {
  readonly client: DockerClient;
  readonly containers: Containers;
  readonly installation: string;
  /** Where output is kept beyond its container; absent: nowhere. */
  readonly logDir?: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The output of all replicas of a driver, which tells it what runs. */
export class ReplicaLogs {
  readonly #client: DockerClient;
  readonly #containers: Containers;
  readonly #logDir: string | undefined;
  readonly #archive: Archive | undefined;

  constructor({ client, containers, logDir, ...rest }: ReplicaLogsOptions) {
    this.#client = client;
    this.#containers = containers;
    this.#logDir = logDir;
    const all = { follow: true, tail: Infinity };
    const origin: ArchiveOrigin = {
      follow: (ref, since, signal) =>
        readContainerLog(client, { ref, tty: false }, { ...all, ...(since === undefined ? {} : { since }) }, signal),
      isRunning: async (ref, signal) => isRunning(await containers.inspect(ref.id, signal)),
    };
    this.#archive = logDir === undefined ? undefined : new Archive({ logDir, origin, ...rest });
  }

  /** One was started. */
  started(ref: BackendRef, replica: string): void {
    this.#archive?.follow({ ref, replica });
  }

  /** These, and no others, are there. */
  listed(found: readonly ObservedReplica[]): void {
    this.#archive?.watch(found.filter(({ state }) => state !== "created").map(toSource));
  }

  /** One has ended and is about to be removed. */
  async drain(found: ObservedReplica, signal: AbortSignal): Promise<void> {
    if (found.state !== "created") await this.#archive?.drain(toSource(found), signal);
  }

  /** The output of one replica, wherever it is now. Ends when the signal aborts. */
  async *read(ref: BackendRef, options: LogOptions, signal: AbortSignal): AsyncGenerator<LogLine, void, undefined> {
    const since = sinceNanos(options.since);
    try {
      const found = await this.#containers.inspect(ref.id, signal);
      if (found === undefined) return yield* this.#readArchived(ref, options, signal);
      const batches = readContainerLog(this.#client, found, options, signal);
      for await (const line of options.follow ? flat(batches) : lastOf(batches, options.tail)) {
        if (signal.aborted) return;
        if (isAfter(line, since)) yield line;
      }
    } catch (error) {
      if (signal.aborted) return;
      // It went between the two questions, or is going.
      const status = statusOf(error);
      if (status !== 404 && status !== 409) throw error;
      yield* this.#readArchived(ref, options, signal);
    }
  }

  /** Deletes what is kept of a replica that is gone; whether there was any. */
  async forget(replica: string): Promise<boolean> {
    return this.#logDir === undefined ? false : deleteLog(this.#logDir, replica);
  }

  async close(): Promise<void> {
    await this.#archive?.close();
  }

  async *#readArchived(
    ref: BackendRef,
    options: LogOptions,
    signal: AbortSignal,
  ): AsyncGenerator<LogLine, void, undefined> {
    if (this.#archive !== undefined) yield* this.#archive.read(ref, options, signal);
  }
}

function toSource({ ref, labels, startedAt }: ObservedReplica): Source {
  const replica = labels[LABELS.replica] ?? "";
  return { ref, replica, ...(startedAt === undefined ? {} : { startedAt }) };
}

function isRunning(found: ObservedReplica | undefined): boolean {
  return found?.state === "running" || found?.state === "unresponsive";
}

/** As a stream also what is not followed: dockerode would gather all of it first. */
function open(
  docker: Docker,
  question: { readonly path: string; readonly options: object },
  signal: AbortSignal,
): Promise<NodeJS.ReadableStream> {
  const request = { ...question, method: "GET", isStream: true, abortSignal: signal, statusCodes: { 200: true } };
  return new Promise((resolve, reject) => {
    docker.modem.dial(request, (error: Error | null, stream: unknown) =>
      error === null ? resolve(requireStream(stream)) : reject(error),
    );
  });
}

function requireStream(answer: unknown): Readable {
  if (answer instanceof Readable) return answer;
  throw new TypeError("dockerode gave no stream for a log");
}

function queryOf(options: LogOptions): object {
  const { follow, tail } = options;
  const since = sinceNanos(options.since);
  return {
    stdout: "1",
    stderr: "1",
    timestamps: "1",
    follow: follow ? "1" : "0",
    ...(tail === Infinity ? {} : { tail: String(tail) }),
    // Whole seconds; what is too much is left out here.
    ...(since === undefined ? {} : { since: String(since / 1_000_000_000n) }),
  };
}

async function* flat<T>(batches: AsyncIterable<readonly T[]>): AsyncGenerator<T, void, undefined> {
  for await (const batch of batches) yield* batch;
}

/** A progress bar is one line to Docker and many to us, so that Docker's tail can be too long. */
async function* lastOf<T>(batches: AsyncIterable<readonly T[]>, count: number): AsyncGenerator<T, void, undefined> {
  if (count === Infinity) return yield* flat(batches);
  let last: T[] = [];
  for await (const batch of batches) last = count === 0 ? [] : [...last, ...batch].slice(-count);
  yield* last;
}
