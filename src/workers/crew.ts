// The workers of a gateway: starts them, starts another one where one has died, gathers what they counted, and ends them all.
// A worker that dies takes its own streams with it and nothing else.
import { deadline, type Timer } from "../lib/clock.ts";
import { orAborted } from "../lib/or-aborted.ts";
import { merged, type Samples } from "../telemetry/gathering.ts";
import type { Logger } from "../telemetry/logger.ts";
import { Desk, type DeskDeps } from "./desk.ts";
import { errorOf, type Order, type Report } from "./messages.ts";

/** A thread that a worker runs in. */
export interface Thread {
  tell(order: Order): void;
  onReport(listener: (report: Report) => void): void;
  /** With what it dies of; its end follows. */
  onError(listener: (error: unknown) => void): void;
  onEnd(listener: () => void): void;
  terminate(): Promise<unknown>;
}

export interface CrewDeps extends DeskDeps {
  readonly count: number;
  readonly logger: Logger;
  /** `number` is the thread's in the tally. */
  start(number: number): Thread;
  /** Lines for the log. */
  writeLog(lines: string): void;
}

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;
/** Who lived so long did not die of its start. */
const PROVEN_MS = 60_000;
/** For a worker to say what it has counted. */
const GATHER_MS = 1_000;
/** For a worker to end its connections once their time is up. */
const CLOSE_MS = 1_000;

interface Member {
  readonly thread: Thread;
  readonly desk: Desk;
  readonly since: number;
  readonly listening: PromiseWithResolvers<void>;
  readonly closed: PromiseWithResolvers<void>;
  readonly gathering: Map<number, (samples: Samples) => void>;
  /** What it had counted when it was last asked. */
  samples: Samples;
  diedOf: unknown;
}

export class Crew {
  readonly #deps: CrewDeps;
  readonly #members = new Map<number, Member>();
  readonly #pauses = new Map<number, Timer>();
  readonly #failures = new Map<number, number>();
  /** What those had counted who are gone: a counter never goes back. */
  #past: Samples = [];
  #gathers = 0;
  #closing = false;

  constructor(deps: CrewDeps) {
    this.#deps = deps;
  }

  /** Resolves when all accept connections; rejects when one cannot. */
  async start(): Promise<void> {
    const numbers = Array.from({ length: this.#deps.count }, (_, index) => index + 1);
    await Promise.all(numbers.map((number) => this.#start(number)));
  }

  /** No new requests from here on; those under way go on. */
  drain(): void {
    this.#closing = true;
    for (const pause of this.#pauses.values()) pause.cancel();
    this.#tellAll({ kind: "drain" });
  }

  /** Those under way have had their time. */
  cut(): void {
    this.#tellAll({ kind: "cut" });
  }

  /** Lets requests under way finish for `graceMs`, then cuts their connections, and ends the threads. */
  async close(graceMs: number): Promise<void> {
    this.drain();
    this.#tellAll({ kind: "close", graceMs });
    const members = [...this.#members.values()];
    const limit = deadline(this.#deps.clock, graceMs + CLOSE_MS, () => new Error("a worker did not end in time"));
    await Promise.all(
      members.map(async ({ closed, thread }) => {
        // One that does not answer is ended all the same.
        await orAborted(closed.promise, limit.signal).catch((error: unknown) =>
          this.#deps.logger.warn({ err: error }, "a worker is ended by force"),
        );
        await thread.terminate();
      }),
    );
    limit.done();
  }

  /** What all workers have counted so far, those included that are gone. */
  async samples(): Promise<readonly Samples[]> {
    const members = [...this.#members.values()];
    return [this.#past, ...(await Promise.all(members.map((member) => this.#gather(member))))];
  }

  #tellAll(order: Order): void {
    for (const { thread } of this.#members.values()) thread.tell(order);
  }

  #start(number: number): Promise<void> {
    const thread = this.#deps.start(number);
    const desk = new Desk(number, (order) => thread.tell(order), this.#deps);
    const listening = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<void>();
    const since = this.#deps.clock.now();
    const member: Member = {
      thread,
      desk,
      since,
      listening,
      closed,
      gathering: new Map(),
      samples: [],
      diedOf: undefined,
    };
    this.#members.set(number, member);
    thread.onReport((report) => this.#hear(member, report));
    thread.onError((error) => {
      member.diedOf = error;
      listening.reject(error);
    });
    thread.onEnd(() => void this.#ended(number, member));
    return listening.promise;
  }

  #hear(member: Member, report: Report): void {
    if (member.desk.hear(report)) return;
    if (report.kind === "log") this.#deps.writeLog(report.lines);
    else if (report.kind === "listening") member.listening.resolve();
    else if (report.kind === "cannot serve") this.#giveUp(member, errorOf(report.error));
    else if (report.kind === "closed") member.closed.resolve();
    else if (report.kind === "samples") member.gathering.get(report.id)?.(report.samples);
  }

  /** One that lives without serving would be missed by nobody. */
  #giveUp({ listening, thread }: Member, error: Error): void {
    listening.reject(error);
    thread
      .terminate()
      .catch((cause: unknown) => this.#deps.logger.error({ err: cause }, "a worker could not be ended"));
  }

  async #ended(number: number, member: Member): Promise<void> {
    this.#members.delete(number);
    member.closed.resolve();
    member.listening.reject(new Error(`worker ${number} ended before it was ready`));
    member.desk.close();
    this.#again(number, member);
    this.#past = await merged([this.#past, member.samples]);
  }

  #again(number: number, { since, diedOf }: Pick<Member, "since" | "diedOf">): void {
    if (this.#closing) return;
    const { clock, logger } = this.#deps;
    logger.error({ worker: number, err: diedOf }, "a worker died; its streams are cut");
    const failures = clock.now() - since > PROVEN_MS ? 0 : (this.#failures.get(number) ?? 0);
    const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures);
    this.#failures.set(number, failures + 1);
    this.#pauses.set(
      number,
      clock.setTimer(pauseMs, () => this.#restart(number)),
    );
  }

  #restart(number: number): void {
    const { clock, logger } = this.#deps;
    const since = clock.now();
    try {
      this.#start(number).then(
        () => logger.info({ worker: number }, "a worker was started again"),
        (error: unknown) => logger.error({ worker: number, err: error }, "a worker could not be started again"),
      );
    } catch (error) {
      // There is no thread to be had: nothing of it lives that could end.
      this.#again(number, { since, diedOf: error });
    }
  }

  /** One that does not answer in time has counted what it had last time. */
  async #gather(member: Member): Promise<Samples> {
    const id = ++this.#gathers;
    const { promise, resolve } = Promise.withResolvers<Samples>();
    const timer = this.#deps.clock.setTimer(GATHER_MS, () => resolve(member.samples));
    member.gathering.set(id, resolve);
    member.thread.tell({ kind: "gather", id });
    member.samples = await promise;
    member.gathering.delete(id);
    timer.cancel();
    return member.samples;
  }
}
