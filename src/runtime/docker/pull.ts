// Makes sure an image is there. However many starts need it, it is pulled once, and given up when none needs it any more.
import { z } from "zod";
import type { PullPolicy } from "../../catalog/launch-spec.ts";
import { AimError, messageOf } from "../../errors.ts";
import type { Clock } from "../../lib/clock.ts";
import { orAborted } from "../../lib/or-aborted.ts";
import type { PullProgress } from "../driver.ts";
import { LIMITS, ask, type DockerClient } from "./client.ts";
import { notUnderstood, saidBy, statusOf } from "./errors.ts";
import { readJsonLines } from "./json-lines.ts";
import { classifyPull, INTERRUPTED, STALLED, type PullFailure } from "./pull-failure.ts";
import { isRetry, Layers, readPullLine, type PullLine } from "./pull-progress.ts";
import { PullReports } from "./pull-reports.ts";
import { Silence } from "./pull-silence.ts";

export interface ImagesOptions {
  readonly clock: Clock;
  /** How long nothing may be heard of a pull before it is given up. */
  readonly pullSilenceMs: number;
}

/** An image of this machine. */
export interface LocalImage {
  /** "sha256:…": what a tag means now, for good. */
  readonly id: string;
}

type Observe = (progress: PullProgress) => void;

interface Pull {
  readonly done: Promise<void>;
  readonly reports: PullReports;
  readonly cancel: AbortController;
}

/** How far a pull is, and whether Docker has lost the registry. */
interface Course {
  readonly layers: Layers;
  retry?: PullLine;
}

export class Images {
  readonly #client: DockerClient;
  readonly #options: ImagesOptions;
  /** Those under way, by the image's name. */
  readonly #pulls = new Map<string, Pull>();

  constructor(client: DockerClient, options: ImagesOptions) {
    this.#client = client;
    this.#options = options;
  }

  /** Resolves when the image is there as the policy wants it. `observe` is called only when it has to be pulled. */
  async ensure(image: string, policy: PullPolicy, observe: Observe, signal: AbortSignal): Promise<LocalImage> {
    if (policy === "always") return this.pull(image, observe, signal);
    const present = await this.#find(image, signal);
    if (present !== undefined) return present;
    if (policy === "missing") return this.pull(image, observe, signal);
    throw failed(image, "it is not on this machine, and docker.pull forbids to fetch it", {
      code: "image_not_found",
      advice: `load it there ("docker pull ${image}" or "docker load"), or set pull: missing`,
    });
  }

  /** Fetches it, also when it is there already: its tag may mean another image by now. */
  async pull(image: string, observe: Observe, signal: AbortSignal): Promise<LocalImage> {
    if (isId(image)) return this.#findById(image, signal);
    const pull = this.#pulls.get(image) ?? this.#begin(image);
    const unwatch = pull.reports.watch(observe);
    try {
      await orAborted(pull.done, signal);
    } finally {
      unwatch();
      if (!pull.reports.isWatched) this.#end(image, pull);
    }
    const present = await this.#find(image, signal);
    if (present !== undefined) return present;
    // A stream that ended without an error is no proof.
    const said = "Docker reported no error, but the image is not there";
    throw failed(image, said, classifyPull(""));
  }

  #begin(image: string): Pull {
    const cancel = new AbortController();
    const reports = new PullReports(this.#options.clock);
    const pull = { done: this.#run(image, reports, cancel.signal), reports, cancel };
    // Whoever comes after the end looks anew: nothing is remembered of it.
    const forget = () => this.#forget(image, pull);
    pull.done.then(forget, forget);
    this.#pulls.set(image, pull);
    return pull;
  }

  #end(image: string, pull: Pull): void {
    this.#forget(image, pull);
    pull.cancel.abort(new Error(`nobody needs ${image} any more`));
  }

  #forget(image: string, pull: Pull): void {
    if (this.#pulls.get(image) === pull) this.#pulls.delete(image);
  }

  async #run(image: string, reports: PullReports, cancel: AbortSignal): Promise<void> {
    const { clock, pullSilenceMs: limitMs } = this.#options;
    const course: Course = { layers: new Layers() };
    const reason = () => silent(image, limitMs, course.retry);
    const silence = new Silence({ clock, limitMs, reason, cancel });
    try {
      for await (const line of this.#lines(image, silence.signal)) {
        if (line?.error !== undefined) throw failed(image, line.error, classifyPull(line.error));
        if (line === undefined || !isRetry(line)) silence.broken();
        if (line !== undefined) note(course, line);
        reports.changed(() => course.layers.progress());
      }
    } catch (error) {
      throw silence.signal.aborted ? silence.signal.reason : explained(image, error);
    } finally {
      silence.end();
      reports.end();
    }
  }

  async *#lines(image: string, signal: AbortSignal): AsyncGenerator<PullLine | undefined, void, undefined> {
    const task = `pull image ${image}`;
    // The silence has the shorter breath, or the longer one: Docker answers only when the registry has.
    const stream = await this.#client.open(task, Infinity, signal, (docker, abortSignal) =>
      docker.pull(image, { abortSignal }),
    );
    for await (const line of readJsonLines(stream, task)) yield readPullLine(line);
  }

  async #findById(id: string, signal: AbortSignal): Promise<LocalImage> {
    const present = await this.#find(id, signal);
    if (present !== undefined) return present;
    throw failed(id, "there is no image of this id", {
      code: "image_not_found",
      advice: "an id cannot be fetched: load the image, or name it by its tag or digest",
    });
  }

  async #find(image: string, signal: AbortSignal): Promise<LocalImage | undefined> {
    const task = `inspect image ${image}`;
    let answer: unknown;
    try {
      answer = await this.#client.call(task, LIMITS.look, signal, (docker, abortSignal) =>
        ask(docker, `/images/${image}/json`, abortSignal),
      );
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }
    const parsed = inspectAnswer.safeParse(answer);
    if (!parsed.success) throw notUnderstood(task, parsed.error);
    return { id: parsed.data.Id };
  }
}

const inspectAnswer = z.object({ Id: z.string() });

/** Of an image, as "docker images --no-trunc" shows it: it names content, not where to get it. */
function isId(image: string): boolean {
  return /^(sha256:)?[0-9a-f]{64}$/.test(image);
}

function note(course: Course, line: PullLine): void {
  course.layers.add(line);
  if (isRetry(line)) course.retry = line;
  else delete course.retry;
}

function silent(image: string, limitMs: number, retry: PullLine | undefined): AimError {
  const limit = `${limitMs / 1000} s`;
  if (retry === undefined) return failed(image, `nothing was heard from the registry for ${limit}`, STALLED);
  return failed(
    image,
    `the registry broke off, and nothing more has come for ${limit} ("${retry.status}")`,
    INTERRUPTED,
  );
}

/** That Docker itself is away is no fault of the image. */
function explained(image: string, error: unknown): AimError {
  if (error instanceof AimError && error.code === "runtime_unavailable") return error;
  const said = saidBy(error) ?? messageOf(error);
  return failed(image, said, classifyPull(said), error);
}

function failed(image: string, said: string, { code, advice }: PullFailure, cause?: unknown): AimError {
  const status = statusOf(cause);
  return new AimError("runtime_failed", `cannot pull image ${image}: ${said}; ${advice}`, {
    data: { failure: code, ...(status === undefined ? {} : { status }) },
  });
}
