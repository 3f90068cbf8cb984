// What the simulated engine says: plain sentences, the same for the same prompt, that nobody can mistake for a model's.
import { piecesOf } from "./tokens.ts";

export interface AnswerRequest {
  readonly model: string;
  readonly prompt: readonly number[];
  /** Tells apart the choices of one request, and its `seed`. */
  readonly variant: number;
  readonly maxTokens: number;
  readonly minTokens: number;
  /** Go on to `maxTokens`, as load tests want it. */
  readonly ignoreEos: boolean;
  readonly stop: readonly string[];
}

export interface Answer {
  /** One per token; never empty. The last one of a natural end is the end mark, which has no text. */
  readonly pieces: readonly string[];
  readonly end: "stop" | "length";
  /** The stop string that ended it. */
  readonly stopReason: string | undefined;
}

/** An answer ends at the first full sentence past this many tokens: about 60 in the mean. */
const ENOUGH_TOKENS = 52;

/** The whole answer, known before the first token is due. */
export function writeAnswer(request: AnswerRequest): Answer {
  const { maxTokens, minTokens, ignoreEos } = request;
  const wanted = ignoreEos ? maxTokens : Math.max(minTokens, ENOUGH_TOKENS);
  const pieces: string[] = [];
  for (const sentence of sentences(request)) {
    pieces.push(...piecesOf(sentence));
    if (pieces.length >= Math.min(wanted, maxTokens)) break;
  }
  const spoken = pieces.slice(0, maxTokens);
  const stopped = cutAtStop(spoken, request.stop);
  if (stopped !== undefined) return stopped;
  if (pieces.length >= maxTokens) return { pieces: spoken, end: "length", stopReason: undefined };
  return { pieces: [...spoken, ""], end: "stop", stopReason: undefined };
}

/** Ends the answer before the earliest stop string in it. */
function cutAtStop(pieces: readonly string[], stop: readonly string[]): Answer | undefined {
  if (stop.length === 0) return undefined;
  const text = pieces.join("");
  const found = stop
    .map((word) => ({ word, at: text.indexOf(word) }))
    .filter((hit) => hit.at >= 0)
    .sort((a, b) => a.at - b.at)[0];
  if (found === undefined) return undefined;
  const kept = piecesOf(text.slice(0, found.at));
  return { pieces: kept.length === 0 ? [""] : kept, end: "stop", stopReason: found.word };
}

type Words = readonly [string, ...string[]];

const SUBJECTS: Words = ["A request", "The queue", "A replica", "The scheduler", "A token", "The gateway"];
const VERBS: Words = ["waits for", "makes room for", "speaks to", "keeps", "finds", "gives way to"];
const OBJECTS: Words = ["a free slot", "the next batch", "its own cache", "a quiet hour", "the warm path"];
const ENDINGS: Words = [
  "and nothing is lost on the way",
  "as long as somebody asks",
  "before the clock runs out",
  "while the others go on",
  "– no GPU was needed for that",
];

function* sentences(request: AnswerRequest): Generator<string, never> {
  const pick = picker(request.prompt, request.variant);
  yield `This is the simulated engine of AIM Engine, standing in for ${request.model}: it read ${request.prompt.length} tokens and no model was asked.`;
  for (;;) yield ` ${pick(SUBJECTS)} ${pick(VERBS)} ${pick(OBJECTS)} ${pick(ENDINGS)}.`;
}

/** Chooses by a generator (mulberry32) that the prompt seeds. */
function picker(prompt: readonly number[], variant: number): (words: Words) => string {
  let state = prompt.reduce((hash, id) => Math.imul(hash ^ id, 0x01000193), 0x811c9dc5 ^ variant);
  return (words) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return words[((mixed ^ (mixed >>> 14)) >>> 0) % words.length] ?? words[0];
  };
}
