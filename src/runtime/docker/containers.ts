// The verbs on single containers, each bounded in time and safe to repeat: "already so" and "gone" are no errors.
import type { ContainerCreateOptions } from "dockerode";
import { z } from "zod";
import { AimError, messageOf } from "../../errors.ts";
import { deadline, sleep, type Clock } from "../../lib/clock.ts";
import { LIMITS, type DockerClient } from "./client.ts";
import { isAnswerLost, notUnderstood, statusOf, timedOut } from "./errors.ts";
import { readInspect, type Inspected, type Reach } from "./observe.ts";

const FIRST_LOOK_MS = 20;
const MAX_LOOK_MS = 1000;

/** A container as `list` shows it. */
export interface Listed {
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** In Docker's words: "created", "running", "paused", "restarting", "removing", "exited", "dead". */
  readonly state: string;
  /** Milliseconds since the Unix epoch. */
  readonly createdAt: number;
}

/** A container that was not started for so long is left over from a gateway that is gone. */
const FORGOTTEN_MS = 300_000;

/** Whether it is to become a running one, or is one. `now` is the time of day, in ms since the Unix epoch. */
export function isMeantToRun({ state, createdAt }: Listed, now: number): boolean {
  return state !== "created" || now - createdAt < FORGOTTEN_MS;
}

/** As `docker ps --filter` takes them: of one key any, of all keys each. */
export interface Filters {
  readonly label: string[];
  readonly status?: string[];
}

const listAnswer = z.array(
  z.object({
    Id: z.string(),
    Names: z.array(z.string()).nullish(),
    Labels: z.record(z.string(), z.string()).nullish(),
    State: z.string().default(""),
    Created: z.number().default(0),
  }),
);

export class Containers {
  readonly #client: DockerClient;
  readonly #clock: Clock;
  readonly #reach: Reach;

  constructor(client: DockerClient, clock: Clock, reach: Reach) {
    this.#client = client;
    this.#clock = clock;
    this.#reach = reach;
  }

  /** Those of any state and anybody's that the filters let through. */
  async list(task: string, filters: Filters, signal: AbortSignal): Promise<readonly Listed[]> {
    const answer = await this.#client.call<unknown>(task, LIMITS.look, signal, (docker, abortSignal) =>
      docker.listContainers({ all: true, filters: { ...filters }, abortSignal }),
    );
    const listed = listAnswer.safeParse(answer);
    if (!listed.success) throw notUnderstood(task, listed.error);
    return listed.data.map(({ Id, Names, Labels, State, Created }) => ({
      id: Id,
      name: Names?.[0]?.replace(/^\//, "") ?? Id,
      labels: Labels ?? {},
      state: State,
      createdAt: Created * 1000,
    }));
  }

  /** By id or name; undefined when there is none. */
  async inspect(id: string, signal: AbortSignal): Promise<Inspected | undefined> {
    const task = `inspect container ${id}`;
    let answer: unknown;
    try {
      answer = await this.#client.call(task, LIMITS.look, signal, (docker, abortSignal) =>
        docker.getContainer(id).inspect({ abortSignal }),
      );
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }
    const inspected = readInspect(answer, this.#reach);
    if (inspected === undefined) throw notUnderstood(task);
    return inspected;
  }

  /** The new container's id. A name in use is status 409. */
  async create(name: string, body: ContainerCreateOptions, signal: AbortSignal): Promise<string> {
    const task = `create container ${name}`;
    const created = this.#client.call(task, LIMITS.act, signal, (docker, abortSignal) => {
      // Told apart, else dockerode repeats the body, and the secrets in its environment, in the URL.
      const options: ContainerCreateOptions & { _query: object; _body: object } = {
        _query: { name },
        _body: body,
        abortSignal,
      };
      return docker.createContainer(options);
    });
    const container = await created.catch((error: unknown) => {
      throw missingFolder(name, error) ?? error;
    });
    if (typeof container.id !== "string") throw notUnderstood(task);
    return container.id;
  }

  /** Whether there is such a file in it; also before its start. */
  async hasFile(id: string, path: string, signal: AbortSignal): Promise<boolean> {
    try {
      const answer = await this.#client.call(
        `look for ${path} in container ${id}`,
        LIMITS.act,
        signal,
        (docker, abortSignal) => docker.getContainer(id).infoArchive({ path, abortSignal }),
      );
      answer.resume();
      return true;
    } catch (error) {
      if (statusOf(error) === 404) return false;
      throw error;
    }
  }

  /** Resolves when it was started, by this call or another. */
  async start(id: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#client.call(`start container ${id}`, LIMITS.act, signal, (docker, abortSignal) =>
        docker.getContainer(id).start({ abortSignal }),
      );
    } catch (error) {
      if (statusOf(error) === 304) return;
      if (!isAnswerLost(error)) throw error;
      const found = await this.inspect(id, signal);
      if (found === undefined || found.state === "created") throw error;
    }
  }

  /** Resolves when it no longer runs. */
  async stop(id: string, graceMs: number, signal: AbortSignal): Promise<void> {
    const seconds = Math.ceil(graceMs / 1000);
    const limitMs = seconds * 1000 + LIMITS.stopExtra;
    try {
      await this.#client.call(`stop container ${id}`, limitMs, signal, (docker, abortSignal) =>
        docker.getContainer(id).stop({ t: seconds, abortSignal }),
      );
    } catch (error) {
      const status = statusOf(error);
      if (status !== 304 && status !== 404) throw error;
    }
  }

  /** Kills it where it still runs, and resolves when it is seen to be gone. */
  async remove(id: string, signal: AbortSignal): Promise<void> {
    const task = `remove container ${id}`;
    const limit = deadline(this.#clock, LIMITS.act, () => timedOut(task, LIMITS.act), signal);
    try {
      await this.#askRemoval(id, task, limit.signal);
      let pauseMs = FIRST_LOOK_MS;
      while ((await this.inspect(id, limit.signal)) !== undefined) {
        await sleep(this.#clock, pauseMs, limit.signal);
        pauseMs = Math.min(pauseMs * 2, MAX_LOOK_MS);
        await this.#askRemoval(id, task, limit.signal);
      }
    } finally {
      limit.done();
    }
  }

  async #askRemoval(id: string, task: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#client.call(task, LIMITS.act, signal, (docker, abortSignal) => {
        const options = { force: true, v: true, abortSignal };
        return docker.getContainer(id).remove(options);
      });
    } catch (error) {
      // 409: somebody else is removing it.
      const status = statusOf(error);
      if (status !== 404 && status !== 409) throw error;
    }
  }
}

/** Undefined for any other failure. */
function missingFolder(name: string, error: unknown): AimError | undefined {
  const folder = /bind source path does not exist: (.+)$/.exec(messageOf(error))?.[1];
  if (statusOf(error) !== 400 || folder === undefined) return undefined;
  return new AimError(
    "runtime_failed",
    `container ${name} is to see ${folder}, which Docker's machine does not have; make that folder, or correct the recipe's mounts or docker.cache`,
    { data: { failure: "bad_argument", status: 400 } },
  );
}
