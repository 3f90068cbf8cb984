// Zod schemas of values that people write as text: durations, sizes, addresses.
import { z } from "zod";

/** A text that `parse` understands; whatever else is met with `expected`. */
export function textAs<T>(parse: (text: string) => T | undefined, expected: string) {
  return z.string({ error: expected }).transform((text, context) => {
    const value = parse(text);
    if (value !== undefined) return value;
    context.addIssue({ code: "custom", message: expected });
    return z.NEVER;
  });
}
