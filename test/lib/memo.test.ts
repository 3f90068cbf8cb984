import { expect, it } from "vitest";
import { memoized } from "../../src/lib/memo.ts";

it("a memoized function answers the same, asks once while it remembers, and remembers so much at most", () => {
  const asked: string[] = [];
  const length = memoized({ most: 2, longest: 3 }, (text) => asked.push(text) && text.length);
  expect(["a", "bb", "a", "ccc", "a"].map((text) => length(text))).toEqual([1, 2, 1, 3, 1]);
  expect(asked.splice(0)).toEqual(["a", "bb", "ccc", "a"]);
  expect(["long", "long", "a"].map((text) => length(text))).toEqual([4, 4, 1]);
  expect(asked).toEqual(["long", "long"]);
});
