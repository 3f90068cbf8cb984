// Portkey's gateway, which is Hono on Node as well. It is no dependency of ours: the first run fetches it from npm.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startBoth, type Variant } from "../variant.ts";

const VERSION = "1.15.2";
const FOLDER = join(import.meta.dirname, `../../../node_modules/.cache/bench-proxy/portkey-${VERSION}`);
const PROGRAM = join(FOLDER, "node_modules/@portkey-ai/gateway/build/start-server.js");

export const portkey: Variant = {
  name: "portkey",
  about: `@portkey-ai/gateway ${VERSION}, mended so that it streams at all`,
  whyMissing: fetchOnce,
  start: (place) =>
    startBoth(place, {
      argv: ({ listen }) => Promise.resolve([process.execPath, PROGRAM, `--port=${listen}`, "--headless"]),
      headers: (backend) => ["x-portkey-provider: openai", `x-portkey-custom-host: http://127.0.0.1:${backend}/v1`],
    }),
};

/**
 * It answers every stream with 500, as it appends its headers to those of a fetch Response, which no Node since 20 allows.
 * Without these headers it works, and costs a little less.
 */
const FAULTY = "updateHeaders(e,t,a){return e.headers.append(";
const MENDED = "updateHeaders(e,t,a){return;e.headers.append(";

function fetchOnce(): string | undefined {
  if (existsSync(PROGRAM)) return mend();
  mkdirSync(FOLDER, { recursive: true });
  const argv = ["install", "--prefix", FOLDER, "--no-audit", "--no-fund", "--ignore-scripts"];
  const { status, stderr } = spawnSync("npm", [...argv, `@portkey-ai/gateway@${VERSION}`], { encoding: "utf8" });
  if (status === 0 && existsSync(PROGRAM)) return mend();
  return `npm could not fetch @portkey-ai/gateway: ${stderr.trim().split("\n").at(-1)}`;
}

function mend(): string | undefined {
  const text = readFileSync(PROGRAM, "utf8");
  if (text.includes(MENDED)) return undefined;
  if (!text.includes(FAULTY)) return `@portkey-ai/gateway ${VERSION} is not the one whose streams can be mended`;
  writeFileSync(PROGRAM, text.replace(FAULTY, MENDED));
  return undefined;
}
