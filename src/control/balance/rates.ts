// How fast replicas read prompts, learned from what they read: tokens over the time in which they had any to read. A replica
// that has not read much yet is taken for one like the others of its model, and the first of a model for a usual one.

const USUAL_TOKENS_PER_SECOND = 10_000;
/** How much reading, in seconds, the usual speed counts for against what was seen of a model. */
const USUAL_SECONDS = 1;
/** The same for what was seen of the model, against what was seen of one of its replicas. */
const MODEL_SECONDS = 20;
/** Older reading counts for less and less. */
const REMEMBERED_SECONDS = 60;
/** Too little says nothing: what else it takes to answer would count for slowness. */
const LEAST_TOKENS = 2048;
/** One that is further off than this counts as so far off: the engine was stopped, or had not cached what was thought. */
const MOST_OFF = 4;

/** What was read, and in how much time. */
class Evidence {
  tokens: number;
  seconds: number;

  constructor(tokens: number, seconds: number) {
    this.tokens = tokens;
    this.seconds = seconds;
  }

  add(tokens: number, seconds: number): void {
    this.tokens += tokens;
    this.seconds += seconds;
    const kept = Math.min(1, REMEMBERED_SECONDS / this.seconds);
    this.tokens *= kept;
    this.seconds *= kept;
  }
}

/** How fast the replicas of a model read, taken together. */
export class ModelRate {
  readonly #seen = new Evidence(USUAL_TOKENS_PER_SECOND * USUAL_SECONDS, USUAL_SECONDS);

  get perSecond(): number {
    return this.#seen.tokens / this.#seen.seconds;
  }

  note(tokens: number, seconds: number): void {
    this.#seen.add(tokens, seconds);
  }
}

/** How fast one replica reads. */
export class PrefillRate {
  readonly #model: ModelRate;
  readonly #seen = new Evidence(0, 0);
  /** Not counted yet: of short prompts, several are taken together. */
  #tokens = 0;
  #ms = 0;

  constructor(model: ModelRate) {
    this.#model = model;
  }

  /** Tokens; more than 0. */
  get perSecond(): number {
    const { tokens, seconds } = this.#seen;
    return (tokens + MODEL_SECONDS * this.#model.perSecond) / (seconds + MODEL_SECONDS);
  }

  /** It has read so much, and was at it for so long. */
  note(tokens: number, ms: number): void {
    this.#tokens += tokens;
    this.#ms += ms;
    if (this.#tokens < LEAST_TOKENS) return;
    const expected = this.#tokens / this.perSecond;
    const seconds = Math.min(Math.max(this.#ms / 1000, expected / MOST_OFF), expected * MOST_OFF);
    this.#seen.add(this.#tokens, seconds);
    this.#model.note(this.#tokens, seconds);
    this.#tokens = 0;
    this.#ms = 0;
  }
}
