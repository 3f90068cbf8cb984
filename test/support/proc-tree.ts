// A machine's /proc as files, with only what examinations look at.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export interface FileTree {
  readonly root: string;
  remove(): Promise<void>;
}

/** Files by their path below the root. */
export async function makeFiles(files: Readonly<Record<string, string>>): Promise<FileTree> {
  const root = await mkdtemp(join(tmpdir(), "aim-files-"));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
  return { root, remove: () => rm(root, { recursive: true, force: true }) };
}

/** A `limits` file as the kernel prints it. */
export function limitsText(limits: Readonly<Record<string, string>>): string {
  const lines = Object.entries(limits).map(
    ([name, soft]) => `${name.padEnd(26)}${soft.padEnd(21)}${soft.padEnd(21)}units`,
  );
  return ["Limit                     Soft Limit           Hard Limit           Units", ...lines, ""].join("\n");
}
