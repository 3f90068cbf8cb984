// Makes sure an image is there. However many starts need it, it is pulled once, and given up when none needs it any more.
import { z } from "zod";
import { AimError } from "../../errors.ts";
import { deadline, type Clock } from "../../lib/clock.ts";
import type { PullProgress } from "../driver.ts";
import { LIMITS, ask, type DockerClient } from "./client.ts";
import { orAborted } from "../../lib/or-aborted.ts";
import { statusOf } from "./errors.ts";
import { readJsonLines } from "./json-lines.ts";
import { classifyFailure } from "../progress.ts";

interface Pull {
  readonly done: Promise<void>;
  readonly watchers: Set<(progress: PullProgress) => void>;
  readonly cancel: AbortController;
  /** For those who join later. */
  latest: PullProgress;
}

const NOTHING_YET: PullProgress = { doneBytes: 0, totalBytes: undefined, layers: [] };

export class Images {
  readonly #client: DockerClient;
  readonly #clock: Clock;
  readonly #pulls = new Map<string, Pull>();

  constructor(client: DockerClient, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  /** Resolves when the image is there. `observe` is called only when it has to be pulled. */
  async ensure(image: string, observe: (progress: PullProgress) => void, signal: AbortSignal): Promise<void> {
    if (await this.#isThere(image, signal)) return;
    const pull = this.#pulls.get(image) ?? this.#begin(image);
    // A function of its own per caller, since two may observe with the same one.
    const watcher = (progress: PullProgress) => observe(progress);
    pull.watchers.add(watcher);
    try {
      watcher(pull.latest);
      await orAborted(pull.done, signal);
    } finally {
      pull.watchers.delete(watcher);
      if (pull.watchers.size === 0) this.#end(image, pull);
    }
  }

  #begin(image: string): Pull {
    const cancel = new AbortController();
    const watchers: Pull["watchers"] = new Set();
    const report = (progress: PullProgress) => {
      pull.latest = progress;
      for (const watcher of watchers) watcher(progress);
    };
    const pull: Pull = {
      done: this.#pull(image, report, cancel.signal),
      watchers,
      cancel,
      latest: NOTHING_YET,
    };
    this.#pulls.set(image, pull);
    return pull;
  }

  /** Whoever comes next looks anew: nothing is remembered of an ended pull. */
  #end(image: string, pull: Pull): void {
    if (this.#pulls.get(image) === pull) this.#pulls.delete(image);
    pull.cancel.abort(new Error(`nobody needs ${image} any more`));
  }

  async #isThere(image: string, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#client.call(`inspect image ${image}`, LIMITS.look, signal, (docker, abortSignal) =>
        ask(docker, `/images/${image}/json`, abortSignal),
      );
      return true;
    } catch (error) {
      if (statusOf(error) === 404) return false;
      throw error;
    }
  }

  async #pull(image: string, report: (progress: PullProgress) => void, cancel: AbortSignal): Promise<void> {
    const task = `pull image ${image}`;
    const silence = new Silence(this.#clock, image, cancel);
    const layers = new LayerSums();
    try {
      const stream = await this.#client.open(task, LIMITS.pullSilence, silence.signal, (docker, abortSignal) =>
        docker.pull(image, { abortSignal }),
      );
      for await (const line of readJsonLines(stream, task)) {
        silence.broken();
        layers.add(readPullLine(line, image));
        report(layers.progress());
      }
    } catch (error) {
      if (silence.signal.aborted) throw silence.signal.reason;
      throw pullFailed(image, error);
    } finally {
      silence.end();
    }
    // A stream that ended without an error is no proof.
    if (!(await this.#isThere(image, cancel)))
      throw pullFailed(image, new Error("Docker reported no error, but the image is not there"));
  }
}

/** Aborts when nothing was heard for too long: a pull may take an hour, but not in silence. */
class Silence {
  readonly #clock: Clock;
  readonly #reason: () => Error;
  readonly #cancel: AbortSignal;
  readonly #controller = new AbortController();
  #guard: ReturnType<typeof deadline>;

  constructor(clock: Clock, image: string, cancel: AbortSignal) {
    this.#clock = clock;
    this.#cancel = cancel;
    this.#reason = () =>
      pullFailed(image, new Error(`nothing was heard from the registry for ${LIMITS.pullSilence / 1000} s`));
    this.#guard = this.#listen();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  broken(): void {
    this.#guard.done();
    this.#guard = this.#listen();
  }

  end(): void {
    this.#guard.done();
  }

  #listen(): ReturnType<typeof deadline> {
    const guard = deadline(this.#clock, LIMITS.pullSilence, this.#reason, this.#cancel);
    const pass = () => this.#controller.abort(guard.signal.reason);
    if (guard.signal.aborted) pass();
    else guard.signal.addEventListener("abort", pass, { once: true });
    return guard;
  }
}

const pullLine = z.object({
  status: z.string().default(""),
  id: z.string().optional(),
  progressDetail: z.object({ current: z.number().optional(), total: z.number().optional() }).optional(),
  // Old daemons send `error`, new ones only `errorDetail`.
  error: z.string().optional(),
  errorDetail: z.object({ message: z.string() }).optional(),
});

type PullLine = z.infer<typeof pullLine>;

/** Throws for the failures that Docker reports inside an answer that began with 200. */
function readPullLine(line: unknown, image: string): PullLine | undefined {
  const parsed = pullLine.safeParse(line);
  // A line of a shape we do not know carries no progress, and is no failure either.
  if (!parsed.success) return undefined;
  const said = parsed.data.errorDetail?.message ?? parsed.data.error;
  if (said !== undefined) throw pullFailed(image, new Error(said));
  return parsed.data;
}

function pullFailed(image: string, cause: unknown): AimError {
  if (cause instanceof AimError) return cause;
  const said = cause instanceof Error ? cause.message : String(cause);
  const { code, advice } = classifyFailure([said], undefined);
  const known = code === "crashed" ? "check that this machine can reach the registry" : advice;
  return new AimError("runtime_failed", `cannot pull image ${image}: ${said}; ${known}`, {
    cause,
    data: code === "crashed" ? {} : { failure: code },
  });
}

/** Adds up the bytes of all layers. The status decides what a line is about: extraction counts bytes, too. */
class LayerSums {
  readonly #layers = new Map<string, { done: number; total: number | undefined }>();

  add(line: PullLine | undefined): void {
    if (line?.id === undefined) return;
    const known = this.#layers.get(line.id);
    switch (line.status) {
      case "Pulling fs layer":
      case "Waiting":
        if (known === undefined) this.#layers.set(line.id, { done: 0, total: undefined });
        return;
      case "Downloading": {
        const total = line.progressDetail?.total ?? known?.total;
        this.#layers.set(line.id, { done: line.progressDetail?.current ?? known?.done ?? 0, total });
        return;
      }
      case "Verifying Checksum":
      case "Download complete":
      case "Pull complete": {
        // Small layers are done before their size was ever told.
        const total = known?.total ?? known?.done ?? 0;
        this.#layers.set(line.id, { done: total, total });
        return;
      }
      default:
    }
  }

  progress(): PullProgress {
    const layers = [...this.#layers.values()];
    const doneBytes = layers.reduce((sum, layer) => sum + layer.done, 0);
    const isKnown = layers.length > 0 && layers.every((layer) => layer.total !== undefined);
    const totalBytes = isKnown ? layers.reduce((sum, layer) => sum + (layer.total ?? 0), 0) : undefined;
    return { doneBytes, totalBytes, layers: [] };
  }
}
