// Keeps what containers print beyond their life: each one's output is followed into a file of its replica's name.
import { deadline, sleep, type Clock } from "../../lib/clock.ts";
import { AimError } from "../../errors.ts";
import { orAborted } from "../../lib/or-aborted.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { BackendRef, LogLine, LogOptions } from "../driver.ts";
import { canBeLogged, logPath, MAX_LOG_BYTES } from "../log-file.ts";
import { formatLines, openArchive, readArchive, Remaining } from "./archive-file.ts";
import { statusOf } from "./errors.ts";

/** What is followed: one container, from one of its starts to its end. */
export interface Source {
  readonly ref: BackendRef;
  /** The name of its replica. */
  readonly replica: string;
  /** When it was started; a container that is started again is followed again. */
  readonly startedAt?: number;
}

/** Where the output comes from. */
export interface ArchiveOrigin {
  /** Its output from about `since` on, in batches, until it ends. Fails with status 404 when it is gone. */
  follow(ref: BackendRef, since: string | undefined, signal: AbortSignal): AsyncIterable<readonly LogLine[]>;
  isRunning(ref: BackendRef, signal: AbortSignal): Promise<boolean>;
}

export interface ArchiveDeps {
  readonly logDir: string;
  readonly installation: string;
  readonly origin: ArchiveOrigin;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly maxBytes?: number;
}

interface Follower {
  /** As far as it is known by now. */
  source: Source;
  /** Never rejects. */
  readonly ended: Promise<void>;
  isEnded: boolean;
}

const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 10_000;
/** How long a container that has ended is kept for its last words. */
const DRAIN_MS = 2_000;

/**
 * Per container: unknown, then followed (with pauses while Docker or the disk fails), then ended, when all it printed is
 * kept; forgotten when it is no longer listed. What cannot be kept is fetched again, as long as Docker has it.
 */
export class Archive {
  readonly #deps: ArchiveDeps;
  /** By container id. */
  readonly #followers = new Map<string, Follower>();
  /** The last one of each file: followers of one file take turns. */
  readonly #turns = new Map<string, Promise<void>>();
  readonly #closing = new AbortController();
  /** So that a full disk is told of once, not every few seconds. */
  #isBroken = false;

  constructor(deps: ArchiveDeps) {
    this.#deps = deps;
  }

  /** Follows a container, unless it is being followed or all of it is kept. */
  follow(source: Source): void {
    void this.#followerOf(source);
  }

  /** Follows all of them, and forgets those that are not among them. */
  watch(sources: readonly Source[]): void {
    const listed = new Set(sources.map(({ ref }) => ref.id));
    for (const [id, { isEnded }] of this.#followers) if (isEnded && !listed.has(id)) this.#followers.delete(id);
    for (const source of sources) this.follow(source);
  }

  /** Resolves when all that an ended container has printed is kept, or after two seconds: it is about to be removed. */
  async drain(source: Source, signal: AbortSignal): Promise<void> {
    const follower = this.#followerOf(source);
    const limit = deadline(this.#deps.clock, DRAIN_MS, () => new Error("keeping the last words took too long"), signal);
    // Whatever is lost here: that the container has to go is more important.
    await orAborted(follower?.ended ?? Promise.resolve(), limit.signal).catch(() => undefined);
    limit.done();
    signal.throwIfAborted();
  }

  /** What is kept of the replica that a container of that name was. */
  async *read(ref: BackendRef, options: LogOptions, signal: AbortSignal): AsyncGenerator<LogLine, void, undefined> {
    const { logDir, installation, clock } = this.#deps;
    const replica = ref.name.startsWith(`${installation}-`) ? ref.name.slice(installation.length + 1) : ref.name;
    if (canBeLogged(replica)) yield* readArchive(logPath(logDir, replica), options, clock, signal);
  }

  /** Lets go of all containers; what they print from now on is fetched when they are followed again. */
  async close(): Promise<void> {
    this.#closing.abort(new Error("the archive of logs is closing"));
    await Promise.all([...this.#followers.values()].map(({ ended }) => ended));
  }

  #followerOf(source: Source): Follower | undefined {
    const known = this.#followers.get(source.ref.id);
    if (known?.isEnded === false) known.source = { ...known.source, ...source };
    if (known?.isEnded === false || (known !== undefined && known.source.startedAt === source.startedAt)) return known;
    if (!canBeLogged(source.replica) || this.#closing.signal.aborted) return undefined;
    const before = this.#turns.get(source.replica);
    const ended = Promise.resolve(before).then(() => this.#run(source, this.#closing.signal));
    const follower: Follower = { source, ended, isEnded: false };
    this.#followers.set(source.ref.id, follower);
    this.#turns.set(source.replica, ended);
    void ended.then(() => {
      follower.isEnded = true;
      if (this.#turns.get(source.replica) === ended) this.#turns.delete(source.replica);
    });
    return follower;
  }

  async #run(source: Source, signal: AbortSignal): Promise<void> {
    let pauseMs = FIRST_PAUSE_MS;
    let hasEnded = false;
    while (!signal.aborted) {
      try {
        const kept = await this.#copy(source, signal);
        if (hasEnded) return;
        hasEnded = !(await this.#deps.origin.isRunning(source.ref, signal));
        // Once more: engines before Docker 23 can lose their place where they rotate a log that is followed.
        if (hasEnded) continue;
        if (kept > 0) pauseMs = FIRST_PAUSE_MS;
      } catch (error) {
        if (signal.aborted || statusOf(error) === 404) return;
        this.#report(source, error);
      }
      // Rejects when the signal aborts, which the loop sees by itself.
      await sleep(this.#deps.clock, pauseMs, signal).catch(() => undefined);
      pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS);
    }
  }

  /** How many lines were kept before the stream ended. The next batch is asked for when the last one is written. */
  async #copy({ ref, replica }: Source, signal: AbortSignal): Promise<number> {
    const { logDir, origin, clock, maxBytes = MAX_LOG_BYTES } = this.#deps;
    const { writer, kept } = await openArchive(logPath(logDir, replica), { container: ref.id, clock, maxBytes });
    let count = 0;
    try {
      const remaining = new Remaining(kept);
      for await (const batch of origin.follow(ref, kept?.time, signal)) {
        const lines = remaining.of(batch);
        await writer.append(formatLines(lines));
        if (lines.length > 0) this.#isBroken = false;
        count += lines.length;
      }
    } finally {
      await writer.close();
    }
    return count;
  }

  #report({ ref }: Source, error: unknown): void {
    const { logger, logDir } = this.#deps;
    const fields = { err: error, container: ref.name };
    if (error instanceof AimError) return logger.debug(fields, "following the output of a container failed");
    if (this.#isBroken) return;
    this.#isBroken = true;
    logger.warn({ ...fields, logDir }, "the output of replicas cannot be kept; see whether the disk is full");
  }
}
