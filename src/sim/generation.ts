// One generation from its first submitted sequence to the last byte of its answer.
import { writeAnswer, type Answer } from "./answer.ts";
import type { Call, Outcome, Usage } from "./call.ts";
import type { EndReason, Engine, Ticket } from "./engine.ts";
import type { RequestFaults } from "./faults.ts";
import type { Sink } from "./sink.ts";
import { tokenId } from "./tokens.ts";
import { engineFailure, type WireError } from "./wire.ts";

interface ChoiceState {
  readonly answer: Answer;
  text: string;
  end: EndReason | undefined;
}

export interface GenerationParts {
  readonly engine: Engine;
  readonly sink: Sink;
  readonly faults: RequestFaults;
  /** The name the answer speaks of. */
  readonly model: string;
}

/** Every prompt and choice is a sequence of its own in the engine; the answer ends when all of them did. */
export class Generation {
  readonly #call: Call;
  readonly #parts: GenerationParts;
  readonly #choices: ChoiceState[] = [];
  readonly #tickets: Ticket[] = [];
  #said = 0;
  #open = 0;
  #settled = false;

  constructor(call: Call, parts: GenerationParts) {
    this.#call = call;
    this.#parts = parts;
  }

  start(): void {
    this.#parts.sink.open();
    const { prompts, choicesPerPrompt } = this.#call;
    this.#open = prompts.length * choicesPerPrompt;
    for (const prompt of prompts) {
      for (let variant = 0; variant < choicesPerPrompt; variant++) this.#submit(prompt, variant);
    }
  }

  /** The client left: frees the slots at once. False when there was nothing left to abort. */
  abort(): boolean {
    if (this.#settled) return false;
    this.#settle();
    return true;
  }

  #submit(prompt: readonly number[], variant: number): void {
    const { sampling } = this.#call;
    const answer = writeAnswer({
      ...sampling,
      model: this.#parts.model,
      prompt,
      variant: variant + sampling.seed,
    });
    const index = this.#choices.push({ answer, text: "", end: undefined }) - 1;
    const ticket = this.#parts.engine.submit({
      prompt,
      output: answer.pieces.map(tokenId),
      end: answer.end,
      stallAfter: this.#parts.faults.stallAfter,
      onToken: (at) => this.#token(index, at),
      onEnd: (reason) => this.#ended(index, reason),
    });
    this.#tickets.push(ticket);
  }

  #token(index: number, at: number): void {
    const choice = this.#choices[index];
    if (this.#settled || choice === undefined) return;
    const { faults, sink } = this.#parts;
    if (this.#said === faults.errorAfter)
      return this.#fail(engineFailure("EngineCore encountered an issue (simulated)."));
    if (this.#said === faults.cutAfter) return this.#cut();
    this.#said++;
    const { pieces, end, stopReason } = choice.answer;
    const text = pieces[at] ?? "";
    choice.text += text;
    if (at === pieces.length - 1) choice.end = end;
    sink.token({ choice: index, text, end: choice.end, stopReason, usage: this.#usage() });
  }

  #ended(index: number, reason: EndReason): void {
    const choice = this.#choices[index];
    if (this.#settled || choice === undefined) return;
    if (reason === "abort") {
      choice.end = reason;
      this.#parts.sink.token({
        choice: index,
        text: "",
        end: reason,
        stopReason: undefined,
        usage: this.#usage(),
      });
    }
    this.#open--;
    if (this.#open > 0) return;
    this.#settled = true;
    this.#parts.sink.end(this.#outcome());
  }

  #fail(error: WireError): void {
    this.#settle();
    this.#parts.sink.fail(error);
  }

  #cut(): void {
    this.#settle();
    this.#parts.sink.cut(this.#outcome());
  }

  #settle(): void {
    this.#settled = true;
    for (const ticket of this.#tickets) ticket.abort();
  }

  #usage(): Usage {
    const { prompts } = this.#call;
    return {
      promptTokens: prompts.reduce((total, prompt) => total + prompt.length, 0),
      completionTokens: this.#said,
      cachedTokens: this.#cachedTokens(),
    };
  }

  /** Each prompt counts once, by its first choice: the others of it always find a part in the cache. */
  #cachedTokens(): number {
    const firsts = this.#tickets.filter((_, index) => index % this.#call.choicesPerPrompt === 0);
    return firsts.reduce((total, ticket) => total + ticket.cachedTokens, 0);
  }

  #outcome(): Outcome {
    const choices = this.#choices.map(({ answer, text, end }) => ({
      text,
      end: end ?? "abort",
      stopReason: end === "stop" ? answer.stopReason : undefined,
    }));
    return { choices, usage: this.#usage() };
  }
}
