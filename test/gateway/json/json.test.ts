import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { generateJsonWasm } from "../../../scripts/wasm.ts";

it("runs what the .wat files say: `npm run wasm` makes the module anew", async () => {
  const { path, text } = await generateJsonWasm();
  expect(await readFile(path, "utf8")).toBe(text);
});
