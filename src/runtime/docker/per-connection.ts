// What the engine is asked once, and again after it was lost.
import { orAborted } from "../../lib/or-aborted.ts";
import type { DockerClient } from "./client.ts";

/** Remembers an answer for as long as the connection to the engine holds; a failure is not remembered. */
export class PerConnection<T> {
  readonly #client: DockerClient;
  readonly #ask: (signal: AbortSignal) => Promise<T>;
  #known: { readonly connection: number; readonly answer: Promise<T> } | undefined;

  constructor(client: DockerClient, ask: (signal: AbortSignal) => Promise<T>) {
    this.#client = client;
    this.#ask = ask;
  }

  async get(signal: AbortSignal): Promise<T> {
    const { connection } = this.#client;
    if (this.#known?.connection !== connection) this.#known = { connection, answer: this.#begin() };
    return orAborted(this.#known.answer, signal);
  }

  /** Not aborted by one of those who wait; what is asked has its own deadlines. */
  #begin(): Promise<T> {
    const answer = this.#ask(new AbortController().signal);
    answer.catch(() => {
      if (this.#known?.answer === answer) this.#known = undefined;
    });
    return answer;
  }
}
