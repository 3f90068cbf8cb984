// How a start goes: which phase it is in, how far, and how long it has shown nothing new. Pure: it is told lines and times.
//
//   pending    nothing was heard of the runtime yet        weights    they are downloaded, then loaded
//   pulling    the image is fetched                        compile    kernels are compiled, whenever one is first needed
//   starting   the container or process is being made      graphs     the KV cache is laid out, graphs are captured
//   loading    it runs, and has not said how far it is     warm-up    the last steps before it answers
import type { PullProgress } from "../../runtime/driver.ts";
import { ProgressBar } from "./progress-bar.ts";

export type LoadPhase = "weights" | "compile" | "graphs" | "warm-up";
export type StartPhaseName = "pending" | "pulling" | "starting" | "loading" | LoadPhase;

/** What one line of an engine's log says about its load. */
export interface LoadStep {
  readonly phase: LoadPhase;
  /** A short phrase without the percentage: "loading weights". */
  readonly text: string;
  readonly percent?: number;
  /** Which of the engine's processes says so: "Worker_TP3". */
  readonly worker?: string;
  /** Differs with each bit of progress that text and percentage do not show. */
  readonly detail?: string;
}

export interface PhaseTime {
  readonly phase: StartPhaseName;
  readonly ms: number;
}

/** Kernels are compiled in between; the others follow each other. */
const ORDER: Readonly<Record<Exclude<LoadPhase, "compile">, number>> = { weights: 1, graphs: 2, "warm-up": 3 };

/** Kept by the launcher, read by all. Times are `Clock.now()` values. */
export class StartProgress {
  /** The last that was heard of the pull; undefined where none was needed. */
  pull: PullProgress | undefined;
  /** Where the pull stood when it was first heard of. */
  pullBegan: { readonly at: number; readonly doneBytes: number } | undefined;
  #phase: StartPhaseName = "pending";
  #since: number;
  #changedAt: number;
  #limitedFrom: number;
  #loadingSince: number | undefined;
  #ended = false;
  #blind = false;
  #moved = false;
  #reached = 0;
  #text = "";
  #detail: string | undefined;
  #bar: ProgressBar | undefined;
  readonly #bars = new Map<string, ProgressBar>();
  readonly #spent = new Map<StartPhaseName, number>();

  constructor(now: number) {
    this.#since = now;
    this.#changedAt = now;
    this.#limitedFrom = now;
  }

  get phase(): StartPhaseName {
    return this.#phase;
  }

  /** "loading weights 62%"; empty before the first line that says something. */
  get text(): string {
    const percent = this.#bar?.percent;
    return percent === undefined ? this.#text : `${this.#text} ${percent}%`;
  }

  /** Of the bar that is on show, the slowest process; undefined where there is none. */
  get percent(): number | undefined {
    return this.#bar?.percent;
  }

  /** When something new was last seen. */
  get changedAt(): number {
    return this.#changedAt;
  }

  /** From when on its time counts: the pull, which has limits of its own, does not. */
  get limitedFrom(): number {
    return this.#limitedFrom;
  }

  /** When its container began to run. */
  get loadingSince(): number | undefined {
    return this.#loadingSince;
  }

  /** Whether its engine has ever said how far it is. */
  get hasMoved(): boolean {
    return this.#moved;
  }

  /** While its log cannot be read, silence means nothing. */
  get isBlind(): boolean {
    return this.#blind;
  }

  /** Time until the bar on show is full, judged by its speed so far. */
  barLeftMs(now: number): number | undefined {
    return this.#bar?.leftMs(now);
  }

  /** Time spent in each phase so far, in the order in which they were first entered. */
  times(now: number): readonly PhaseTime[] {
    const spent = new Map(this.#spent);
    if (!this.#ended) spent.set(this.#phase, (spent.get(this.#phase) ?? 0) + now - this.#since);
    return [...spent].filter(([, ms]) => ms > 0).map(([phase, ms]) => ({ phase, ms }));
  }

  onPull(pull: PullProgress, now: number): void {
    this.#enter("pulling", now);
    this.pull = pull;
    this.pullBegan ??= { at: now, doneBytes: pull.doneBytes };
  }

  onStarting(now: number): void {
    if (this.#phase !== "pending" && this.#phase !== "pulling") return;
    this.#enter("starting", now);
    this.#limitedFrom = now;
  }

  /** `since` is in the past for one that was found running. */
  onRunning(now: number, since = now): void {
    if (this.#loadingSince !== undefined) return;
    this.#enter("loading", now);
    this.#limitedFrom = now;
    this.#loadingSince = since;
  }

  /** A line that says nothing of progress: of an engine that never says anything, it is all there is to go by. */
  onLine(now: number): void {
    if (this.#phase === "loading") this.#changedAt = now;
  }

  /** Returns whether anything is new. */
  onStep(step: LoadStep, now: number): boolean {
    if (this.#ended || !this.#isDue(step.phase)) return false;
    const bar = this.#follow(step, now);
    const isNew =
      bar?.isNew === true ||
      (bar === undefined && step.text !== this.#text) ||
      (step.detail !== undefined && step.detail !== this.#detail) ||
      step.phase !== this.#phase;
    if (!isNew) return false;
    this.#enter(step.phase, now);
    this.#changedAt = now;
    this.#moved = true;
    this.#text = step.text;
    this.#detail = step.detail ?? this.#detail;
    this.#bar = bar?.bar;
    return true;
  }

  /** Its log cannot be read for the moment. */
  lookAway(): void {
    this.#blind = true;
  }

  /** What it did meanwhile is unknown, so its silence counts from now on. */
  lookAgain(now: number): void {
    if (this.#blind) this.#changedAt = now;
    this.#blind = false;
  }

  /** The start is over, one way or the other. */
  end(now: number): void {
    if (this.#ended) return;
    this.#account(now);
    this.#ended = true;
  }

  /** Lines of a slow process about a phase that the others have left say nothing new. */
  #isDue(phase: LoadPhase): boolean {
    if (phase === "compile") return true;
    if (ORDER[phase] < this.#reached) return false;
    this.#reached = ORDER[phase];
    return true;
  }

  #follow(step: LoadStep, now: number): { readonly bar: ProgressBar; readonly isNew: boolean } | undefined {
    if (step.percent === undefined) return undefined;
    const name = `${step.phase}: ${step.text}`;
    const bar = this.#bars.get(name) ?? new ProgressBar();
    this.#bars.set(name, bar);
    return { bar, isNew: bar.report(step.worker ?? "", step.percent, now) };
  }

  #enter(phase: StartPhaseName, now: number): void {
    if (phase === this.#phase || this.#ended) return;
    this.#account(now);
    this.#phase = phase;
    this.#changedAt = now;
  }

  #account(now: number): void {
    this.#spent.set(this.#phase, (this.#spent.get(this.#phase) ?? 0) + now - this.#since);
    this.#since = now;
  }
}
