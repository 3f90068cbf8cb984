// Clients of a simulated gateway: they come in bursts, leave at any moment, and try again like the OpenAI SDK.
import { AimError, isAimError } from "../../src/errors.ts";
import type { RequestTraits } from "../../src/control/fleet/lease.ts";
import type { Timer } from "../../src/lib/clock.ts";
import type { TestRequest } from "../support/test-request.ts";
import type { Deed, Setting } from "./setting.ts";
import { HOLD_MS } from "./scenery.ts";

/** As often as the SDK does by default. */
const RETRIES = 2;
const FIRST_BACKOFF_MS = 500;
/** A longer `Retry-After` is not believed. */
const LONGEST_RETRY_AFTER_MS = 60_000;

/** What some of them ask, again and again. */
const PROMPTS = ["red", "green", "blue"].map((word) => {
  const body = Buffer.alloc(3_000, word);
  return { body, spans: [{ start: 0, end: body.length }] };
});

export class Clients {
  readonly #setting: Setting;
  readonly #all = new Set<Client>();
  #asked = 0;

  constructor(setting: Setting) {
    this.#setting = setting;
  }

  /** Those that wait, are served, or are going to ask again. */
  get open(): ReadonlySet<Client> {
    return this.#all;
  }

  deeds(): readonly Deed[] {
    return [
      [30, () => this.#come()],
      [10, () => this.#leave()],
    ];
  }

  #come(): void {
    const { random, models, tell } = this.#setting;
    const model = random.one(models);
    const count = random.one([1, 1, 1, 2, 2, 3, 8]);
    const serveMs = random.one([0, 10, 500, 500, 3_000, 20_000]);
    const traits = this.#traits();
    tell(`${count} requests for ${model}, each served in ${serveMs} ms ${JSON.stringify(traits)}`);
    for (let one = 0; one < count; one++) {
      const asked = { ...traits, ...this.#prompt() };
      const client = new Client(this.#setting, { model, serveMs, traits: asked }, () => this.#all.delete(client));
      this.#all.add(client);
      client.ask();
    }
  }

  #traits(): Partial<RequestTraits> {
    const { random } = this.#setting;
    const keepAliveMs = random.one([undefined, undefined, undefined, undefined, 0, 2_000, Infinity]);
    const priority = random.one([undefined, undefined, "low", "high"] as const);
    const client = random.one([undefined, "alice", "bob"]);
    return {
      ...(keepAliveMs === undefined ? {} : { keepAliveMs }),
      ...(priority === undefined ? {} : { priority }),
      ...(client === undefined ? {} : { client }),
      ...(random.upTo(7) === 0 ? { mayStart: false } : {}),
    };
  }

  /** Not at random, so that what happens in a seed does not depend on it. */
  #prompt(): Partial<RequestTraits> {
    const prompt = PROMPTS[this.#asked++ % (PROMPTS.length + 1)];
    return prompt === undefined ? {} : { prompt, stream: this.#asked % 5 !== 0 };
  }

  #leave(): void {
    const client = this.#setting.random.maybe([...this.#all]);
    if (client === undefined) return;
    this.#setting.tell(`a client of ${client.model} leaves while ${client.doing}`);
    client.leave();
  }
}

interface Order {
  readonly model: string;
  readonly serveMs: number;
  readonly traits: Partial<RequestTraits>;
}

/** It is over in exactly one of three ways: served, told that it cannot be, or gone by itself. */
class Client {
  readonly #setting: Setting;
  readonly #order: Order;
  readonly #onOver: () => void;
  #retries = 0;
  #leaving = new AbortController();
  #limit: Timer | undefined;
  #request: TestRequest | undefined;
  #backoff: Timer | undefined;
  #hasLeft = false;

  constructor(setting: Setting, order: Order, onOver: () => void) {
    this.#setting = setting;
    this.#order = order;
    this.#onOver = onOver;
  }

  get model(): string {
    return this.#order.model;
  }

  get doing(): string {
    return this.#backoff === undefined ? (this.#request?.outcome ?? "asking") : "pausing";
  }

  ask(): void {
    const { rig } = this.#setting;
    const { model, serveMs, traits } = this.#order;
    const leaving = new AbortController();
    this.#backoff = undefined;
    this.#leaving = leaving;
    // The gateway's own bound on how long it holds a request.
    this.#limit = rig.clock.setTimer(HOLD_MS, () => {
      if (this.#request?.outcome === "waiting") leaving.abort(new AimError("model_loading", "not ready yet"));
    });
    const onEnd = (request: TestRequest) => this.#onEnd(request);
    this.#request = rig.request(model, { serveMs, traits, signal: leaving.signal, onEnd });
  }

  leave(): void {
    this.#hasLeft = true;
    if (this.#backoff === undefined) return this.#leaving.abort(new Error("client left"));
    this.#backoff.cancel();
    this.#onOver();
  }

  #onEnd({ outcome, error }: TestRequest): void {
    this.#limit?.cancel();
    const pauseMs = outcome === "served" || this.#hasLeft ? undefined : this.#pauseMs(error);
    if (pauseMs === undefined) return this.#onOver();
    this.#retries += 1;
    this.#backoff = this.#setting.rig.clock.setTimer(pauseMs, () => this.ask());
  }

  /** Undefined: it does not try again. A connection that breaks is always worth another try. */
  #pauseMs(error: unknown): number | undefined {
    if (this.#retries >= RETRIES || (isAimError(error) && !error.retryable)) return undefined;
    const asked = isAimError(error) ? error.retryAfterMs : undefined;
    if (asked !== undefined && asked > 0 && asked <= LONGEST_RETRY_AFTER_MS) return asked;
    const longestMs = FIRST_BACKOFF_MS * 2 ** this.#retries;
    return longestMs * (1 - this.#setting.random.next() / 4);
  }
}
