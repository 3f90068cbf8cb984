import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "../..");

/** How each way to start the program calls Node. */
const STARTS = [
  ["package.json", /"start": "node (\S+) src\/main\.ts serve/],
  ["bin/aim-engine.js", /^#!\/usr\/bin\/env -S node (\S+)\n/],
  ["Dockerfile", /#!\/usr\/local\/bin\/node (\S+)\\n/],
  ["deploy/aim-engine.service", /^ExecStart=\S+\/node (\S+) src\/main\.ts serve/m],
  ["bench/proxy/variants/aim.ts", /NODE_OPTIONS = \["(\S+)"\]/],
] as const;

describe("Node's options", () => {
  it.each(STARTS)("are in %s what the handbook explains", async (file, call) => {
    const options = call.exec(await readFile(join(ROOT, file), "utf8"))?.[1];
    expect(options).toMatch(/^--max-semi-space-size=\d+$/);
    expect(await readFile(join(ROOT, "docs/operations.md"), "utf8")).toContain(`\`${options}\``);
  });
});
