import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { generateTextWasm } from "../../../scripts/wasm.ts";

it("runs what text.wat says: `npm run wasm` makes the module anew", async () => {
  const { path, text } = await generateTextWasm();
  expect(await readFile(path, "utf8")).toBe(text);
});
