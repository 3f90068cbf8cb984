// The names people give to numeric precisions, and ours for them.
import { PRECISIONS, type Precision } from "./recipe.ts";

const OTHER_NAMES: Readonly<Record<string, Precision>> = {
  half: "fp16",
  float16: "fp16",
  bfloat16: "bf16",
  "fp8-kv": "fp8",
  "fp8-e4m3": "fp8",
  float8: "fp8",
};

/** Our name of a precision, whatever its case ("FP8", "fp8-kv", "bfloat16"); undefined when it is none. */
export function parsePrecision(text: string): Precision | undefined {
  const plain = text.trim().toLowerCase().replaceAll("_", "-");
  return PRECISIONS.find((precision) => precision === plain) ?? OTHER_NAMES[plain];
}
