// Makes src/gateway/json/text-wasm.ts of text.wat beside it.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import wabt from "wabt";

const FOLDER = join(import.meta.dirname, "../src/gateway/json");
const SOURCE = join(FOLDER, "text.wat");

/** What is generated, and what it has to be. */
export async function generateTextWasm(): Promise<{ readonly path: string; readonly text: string }> {
  const tools = await wabt();
  const parsed = tools.parseWat(SOURCE, await readFile(SOURCE, "utf8"), { simd: true });
  const base64 = Buffer.from(parsed.toBinary({}).buffer).toString("base64");
  parsed.destroy();
  const text = [
    "// Generated of text.wat by `npm run wasm`; edit that one instead.",
    "",
    "/** The WebAssembly module, in base64. */",
    "export const TEXT_WASM =",
    `  "${base64}";`,
    "",
  ].join("\n");
  return { path: join(FOLDER, "text-wasm.ts"), text };
}

if (import.meta.main) {
  const { path, text } = await generateTextWasm();
  await writeFile(path, text);
}
