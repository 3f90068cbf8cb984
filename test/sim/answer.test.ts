import { describe, expect, it } from "vitest";
import { type AnswerRequest, writeAnswer } from "../../src/sim/answer.ts";
import { encode, piecesOf } from "../../src/sim/tokens.ts";

function answer(overrides: Partial<AnswerRequest> = {}) {
  const { pieces, end, stopReason } = writeAnswer({
    model: "demo",
    prompt: encode("Hello"),
    variant: 0,
    maxTokens: 1000,
    minTokens: 0,
    ignoreEos: false,
    stop: [],
    ...overrides,
  });
  return { text: pieces.join(""), tokens: pieces.length, end, stopReason, pieces };
}

describe("writeAnswer", () => {
  it("says what it is first", () => {
    expect(answer().text).toMatch(/^This is the simulated engine of AIM Engine, standing in for demo: it read 1 /);
  });

  it("ends by itself after about 60 tokens, at the end of a sentence, with an end mark", () => {
    const { text, tokens, end, pieces } = answer();
    expect(end).toBe("stop");
    expect(text).toMatch(/\.$/);
    expect(pieces.at(-1)).toBe("");
    expect(tokens).toBeGreaterThan(50);
    expect(tokens).toBeLessThan(75);
  });

  it("is the same for the same prompt and differs with the prompt and the variant", () => {
    expect(answer()).toEqual(answer());
    expect(answer({ prompt: encode("Bye") }).text).not.toBe(answer().text);
    expect(answer({ variant: 1 }).text).not.toBe(answer().text);
  });

  it("counts its tokens as the tokeniser counts its text", () => {
    const { pieces, text } = answer({ maxTokens: 40 });
    expect(pieces).toEqual(piecesOf(text));
  });

  it("stops at the limit", () => {
    expect(answer({ maxTokens: 5 })).toMatchObject({ tokens: 5, end: "length", text: "This is the simulated" });
  });

  it("goes on to the limit when it is to ignore its end", () => {
    expect(answer({ maxTokens: 500, ignoreEos: true })).toMatchObject({ tokens: 500, end: "length" });
  });

  it("says at least as much as it is told to", () => {
    expect(answer({ minTokens: 200 }).tokens).toBeGreaterThanOrEqual(200);
  });

  it("ends before the first stop string that comes up", () => {
    expect(answer({ stop: ["AIM", "simulated", "never said"] })).toMatchObject({
      text: "This is the ",
      end: "stop",
      stopReason: "simulated",
    });
  });

  it("ends with nothing when the stop string comes first", () => {
    expect(answer({ stop: ["This"] })).toMatchObject({ text: "", tokens: 1, end: "stop" });
  });

  it("does not stop at a string past the limit", () => {
    expect(answer({ maxTokens: 3, stop: ["engine"] })).toMatchObject({ end: "length", stopReason: undefined });
  });
});
