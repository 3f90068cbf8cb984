// The door to the Docker Engine: dockerode with a negotiated API version, and a deadline on everything it is asked.
import { Agent } from "node:http";
import { inspect } from "node:util";
import Docker, { type DockerOptions } from "dockerode";
import { z } from "zod";
import { AimError } from "../../errors.ts";
import { deadline, type Clock } from "../../lib/clock.ts";
import { parseDockerAddress, type DockerAddress } from "./address.ts";
import { explain, timedOut } from "./errors.ts";
import { orAborted } from "../../lib/or-aborted.ts";

export type { Docker };

/** How long each kind of question may take, in ms. */
export const LIMITS = { look: 8_000, act: 30_000, stopExtra: 10_000, pullSilence: 120_000 } as const;

export interface DockerClientOptions {
  /** Or tcp://HOST:PORT of a proxy in front of it. */
  readonly socketPath: string;
  readonly clock: Clock;
}

/**
 * The version this code was written against, and the first in which Docker tells its CDI devices; a daemon that is older
 * (down to the minimum) or newer gets its own.
 */
const PREFERRED = "1.50";
const MINIMUM = "1.41";

const versionAnswer = z.object({ ApiVersion: z.string(), MinAPIVersion: z.string().default("1.0") });

/**
 * States: without a version at first and after Docker was lost, with one once it answered (a daemon may come back
 * upgraded). dockerode's own timeout is not used: it counts silence and would cut streams that are quiet for a while.
 */
export class DockerClient {
  readonly #options: DockerClientOptions;
  readonly #address: DockerAddress;
  // No keep-alive: connections to a local socket cost nothing, and stale ones break the first call after a restart.
  readonly #agent = opaque(new Agent({ keepAlive: false }));
  #negotiated: Docker | undefined;
  #connection = 0;

  constructor(options: DockerClientOptions) {
    this.#options = options;
    this.#address = parseDockerAddress(options.socketPath);
  }

  /** Counts how often Docker was lost: what was learned of it under another number may have changed since. */
  get connection(): number {
    return this.#connection;
  }

  /** Docker was away: it may come back upgraded, or set up otherwise. */
  lost(): void {
    this.#connection += 1;
    this.#negotiated = undefined;
  }

  /** Does one thing; rejects with an AimError that names `task`, or with the signal's reason when that aborts first. */
  async call<T>(
    task: string,
    limitMs: number,
    signal: AbortSignal,
    run: (docker: Docker, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const { clock, socketPath } = this.#options;
    signal.throwIfAborted();
    const guard = deadline(clock, limitMs, () => timedOut(task, limitMs), signal);
    try {
      const docker = (this.#negotiated ??= await orAborted(this.#negotiate(guard.signal), guard.signal));
      return await orAborted(run(docker, guard.signal), guard.signal);
    } catch (error) {
      const reason: unknown = guard.signal.aborted ? guard.signal.reason : error;
      if (signal.aborted) throw reason;
      const explained = await explain(reason, task, socketPath);
      if (explained.code === "runtime_unavailable") this.lost();
      throw explained;
    } finally {
      guard.done();
    }
  }

  /**
   * Opens a stream within `limitMs`; after that it lives until it ends or the signal aborts, and fails as `call` does.
   * Iterate it, or it stays open.
   */
  async open(
    task: string,
    limitMs: number,
    signal: AbortSignal,
    run: (docker: Docker, signal: AbortSignal) => Promise<NodeJS.ReadableStream>,
  ): Promise<AsyncIterable<Buffer>> {
    const stream = await this.call(task, limitMs, signal, (docker, opening) => {
      const late = new AbortController();
      opening.addEventListener("abort", () => late.abort(opening.reason), { once: true });
      return run(docker, AbortSignal.any([signal, late.signal]));
    });
    return explaining(stream, signal, (error) => explain(error, task, this.#options.socketPath));
  }

  /** Rejects with `runtime_unavailable` and a remedy when Docker does not answer. */
  async ping(signal: AbortSignal): Promise<void> {
    await this.call("tell its version", LIMITS.look, signal, (docker, aborting) => ask(docker, "/version", aborting));
  }

  /** Cuts whatever is under way. */
  close(): void {
    this.#agent.destroy();
  }

  async #negotiate(signal: AbortSignal): Promise<Docker> {
    const answer = versionAnswer.safeParse(await ask(this.#connect(undefined), "/version", signal));
    if (!answer.success)
      throw new AimError("runtime_unavailable", "what answers on Docker's socket does not speak Docker's API", {
        cause: answer.error,
      });
    return this.#connect(`v${chooseVersion(answer.data.MinAPIVersion, answer.data.ApiVersion)}`);
  }

  #connect(version: string | undefined): Docker {
    const options: DockerOptions & { agent: Agent } = {
      ...this.#address,
      protocol: "http",
      agent: this.#agent,
      version,
    };
    return new Docker(options);
  }
}

/**
 * dockerode describes each request for its debug log, wanted or not, down to the last hidden property: with the agent that
 * would be every open socket, and seconds in which nothing else runs once a few dozen replicas are followed.
 */
function opaque(agent: Agent): Agent {
  return Object.assign(agent, { [inspect.custom]: () => "Agent" });
}

/** The API version to speak with a daemon that speaks `lowest` to `highest`. */
export function chooseVersion(lowest: string, highest: string): string {
  if (compareVersions(highest, MINIMUM) < 0)
    throw new AimError(
      "runtime_unavailable",
      `Docker speaks API ${highest} at most, which is too old; update it to 20.10 (API ${MINIMUM}) or later`,
    );
  if (compareVersions(highest, PREFERRED) < 0) return highest;
  return compareVersions(lowest, PREFERRED) > 0 ? lowest : PREFERRED;
}

/** "1.9" is older than "1.41": versions are compared part by part. */
function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split(".").map(Number));
  const major = (left?.[0] ?? 0) - (right?.[0] ?? 0);
  return major === 0 ? (left?.[1] ?? 0) - (right?.[1] ?? 0) : major;
}

/** Gets JSON, for the questions that dockerode offers no way to abort. A malformed answer comes as a Buffer. */
export function ask(docker: Docker, path: string, signal: AbortSignal): Promise<unknown> {
  const request = { path, method: "GET", abortSignal: signal, statusCodes: { 200: true } };
  return new Promise((resolve, reject) => {
    docker.modem.dial(request, (error: Error | null, answer: unknown) =>
      error === null ? resolve(answer) : reject(error),
    );
  });
}

async function* explaining(
  stream: NodeJS.ReadableStream,
  signal: AbortSignal,
  explained: (error: unknown) => Promise<AimError>,
): AsyncGenerator<Buffer, void, undefined> {
  try {
    for await (const chunk of stream) yield typeof chunk === "string" ? Buffer.from(chunk) : chunk;
  } catch (error) {
    throw signal.aborted ? signal.reason : await explained(error);
  }
}
