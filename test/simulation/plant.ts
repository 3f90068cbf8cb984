// A copy of the source with one bug in it, in a folder of its own, and the simulation beside it.
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import type { Bug } from "./bugs.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");

export interface Copy {
  readonly root: URL;
  remove(): Promise<void>;
}

export async function plantBug(bug: Bug): Promise<Copy> {
  const planted = withBug(await readFile(path.join(ROOT, bug.file), "utf8"), bug);
  const folder = await mkdtemp(path.join(tmpdir(), `aim-bug-${bug.name}-`));
  for (const part of ["src", "test/simulation", "test/support"])
    await cp(path.join(ROOT, part), path.join(folder, part), { recursive: true });
  await cp(path.join(ROOT, "package.json"), path.join(folder, "package.json"));
  await symlink(path.join(ROOT, "node_modules"), path.join(folder, "node_modules"));
  await writeFile(path.join(folder, bug.file), planted);
  return { root: pathToFileURL(`${folder}/`), remove: () => rm(folder, { recursive: true }) };
}

/** Throws where its text is not there exactly once. */
export function withBug(source: string, { name, file, text, instead }: Bug): string {
  const [before, after, ...more] = source.split(text);
  if (before === undefined || after === undefined || more.length > 0)
    throw new Error(`bug ${name}: its text stands ${after === undefined ? "nowhere" : "more than once"} in ${file}`);
  return before + instead + after;
}
