// Makes src/gateway/json/json-wasm.ts of the .wat files beside it, which together are one module.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import wabt from "wabt";

const FOLDER = join(import.meta.dirname, "../src/gateway/json");
const SOURCES = ["json.wat", "scalars.wat", "strings.wat"];

/** What is generated, and what it has to be. */
export async function generateJsonWasm(): Promise<{ readonly path: string; readonly text: string }> {
  const tools = await wabt();
  const fields = await Promise.all(SOURCES.map((name) => readFile(join(FOLDER, name), "utf8")));
  const parsed = tools.parseWat("json.wat", `(module\n${fields.join("")})`, { simd: true });
  const base64 = Buffer.from(parsed.toBinary({}).buffer).toString("base64");
  parsed.destroy();
  const text = [
    "// Generated of the .wat files beside it by `npm run wasm`; edit those instead.",
    "",
    "/** The WebAssembly module, in base64. */",
    "export const JSON_WASM =",
    `  "${base64}";`,
    "",
  ].join("\n");
  return { path: join(FOLDER, "json-wasm.ts"), text };
}

if (import.meta.main) {
  const { path, text } = await generateJsonWasm();
  await writeFile(path, text);
}
