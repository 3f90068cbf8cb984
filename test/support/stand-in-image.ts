// An image that stands in for vLLM's: Node and the sim engine behind a `vllm` command, made in seconds without a registry.
// Run it by hand to have it: `node test/support/stand-in-image.ts [tag…]` prints the tags.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import Docker from "dockerode";
import { pack, type Pack } from "tar-stream";

export const STAND_IN_TAG = "rocm/vllm:latest";

/** Holds the hash of what is inside, and tells our image from a real one of that name. */
const HASH_LABEL = "aim-engine.stand-in";
const ROOT = resolve(import.meta.dirname, "../..");
const HOME = "/opt/stand-in";
const SOURCES = ["src/sim", "src/lib", "src/errors.ts"];
/** There is no shell in the image, nor is one needed. */
const VLLM = `#!/usr/local/bin/node
import { runSim } from "${HOME}/src/sim/main.ts";
await runSim(process.argv.slice(2), process.env);
`;

interface FileEntry {
  readonly name: string;
  readonly content: Buffer;
  readonly mode: number;
}

/** Builds it unless it is there already, gives it all `tags`, and resolves with the first. Never replaces a real image. */
export async function ensureStandInImage(options: { readonly tags?: readonly string[] } = {}): Promise<string> {
  const tags = options.tags ?? [STAND_IN_TAG];
  const docker = new Docker();
  const sources = await readSources();
  const hash = hashOf(sources);
  for (const tag of tags) await ensureTag(docker, tag, hash, sources);
  return tags[0] ?? STAND_IN_TAG;
}

async function ensureTag(docker: Docker, tag: string, hash: string, sources: readonly FileEntry[]): Promise<void> {
  const present = await labelsOf(docker, tag);
  if (present !== undefined && present[HASH_LABEL] === undefined)
    throw new Error(`${tag} is a real image here; the tests do not replace it: use another tag`);
  if (present?.[HASH_LABEL] === hash) return;
  const [built] = await docker.listImages({ filters: { label: [`${HASH_LABEL}=${hash}`] } });
  const [repo, version] = splitTag(tag);
  if (built === undefined) await importImage(docker, { repo, tag: version, hash, sources });
  else await docker.getImage(built.Id).tag({ repo, tag: version });
  // Those of earlier sources, once no tag and no container uses them.
  await prune(docker);
}

/** If another test file is clearing up at this moment, it does so for both. */
async function prune(docker: Docker): Promise<void> {
  await docker.pruneImages({ filters: { dangling: ["true"], label: [HASH_LABEL] } }).catch((error: unknown) => {
    if (!String(error).includes("already running")) throw error;
  });
}

async function labelsOf(docker: Docker, tag: string): Promise<Readonly<Record<string, string>> | undefined> {
  try {
    return (await docker.getImage(tag).inspect()).Config.Labels ?? {};
  } catch (error) {
    if (error instanceof Error && "statusCode" in error && error.statusCode === 404) return undefined;
    throw error;
  }
}

async function importImage(
  docker: Docker,
  image: { repo: string; tag: string; hash: string; sources: readonly FileEntry[] },
): Promise<void> {
  const tar = pack();
  const answer = await docker.importImage(await fill(tar, image.sources), {
    repo: image.repo,
    tag: image.tag,
    changes: [`ENV PATH=${HOME}/bin:/usr/local/bin:/usr/bin:/bin`, `LABEL ${HASH_LABEL}=${image.hash}`],
  });
  // Failures come inside an answer that began with 200.
  let said = "";
  for await (const chunk of answer) said += String(chunk);
  if (said.includes('"errorDetail"')) throw new Error(`cannot import ${image.repo}:${image.tag}: ${said}`);
}

async function fill(tar: Pack, sources: readonly FileEntry[]): Promise<Pack> {
  const binaries = [{ from: process.execPath, to: "usr/local/bin/node" }, ...(await librariesOf(process.execPath))];
  for (const folder of ["tmp", "etc", "root"]) tar.entry({ name: folder, type: "directory", mode: 0o777 });
  for (const { name, content, mode } of sources) tar.entry({ name, mode }, content);
  for (const { from, to } of binaries) tar.entry({ name: to, mode: 0o755 }, await readFile(from));
  tar.finalize();
  return tar;
}

/** Where the dynamic loader finds them: "libc.so.6 => /lib/…/libc.so.6 (0x…)", or the loader's own path alone. */
async function librariesOf(program: string): Promise<{ from: string; to: string }[]> {
  const { stdout } = await promisify(execFile)("ldd", [program]);
  const paths = [...stdout.matchAll(/(?:=> |^\s+)(\/\S+) \(/gm)].map((match) => match[1] ?? "");
  return paths.map((path) => ({ from: path, to: path.slice(1) }));
}

async function readSources(): Promise<FileEntry[]> {
  const files = await Promise.all(SOURCES.map(filesUnder));
  const copies = files.flat().map(async (file) => ({
    name: join(HOME, file).slice(1),
    content: await readFile(join(ROOT, file)),
    mode: 0o644,
  }));
  const fixed = [
    { name: `${HOME}/package.json`.slice(1), content: Buffer.from('{ "type": "module" }\n'), mode: 0o644 },
    { name: `${HOME}/bin/vllm`.slice(1), content: Buffer.from(VLLM), mode: 0o755 },
  ];
  return [...fixed, ...(await Promise.all(copies))];
}

async function filesUnder(path: string): Promise<string[]> {
  if (path.endsWith(".ts")) return [path];
  const entries = await readdir(join(ROOT, path), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return files.map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length + 1)).sort();
}

function hashOf(sources: readonly FileEntry[]): string {
  const hash = createHash("sha256").update(`${process.version} ${process.arch}\n`);
  for (const { name, content } of sources) hash.update(`${name} ${content.length}\n`).update(content);
  return hash.digest("hex").slice(0, 16);
}

function splitTag(tag: string): [repo: string, version: string] {
  const colon = tag.lastIndexOf(":");
  return colon > tag.lastIndexOf("/") ? [tag.slice(0, colon), tag.slice(colon + 1)] : [tag, "latest"];
}

if (import.meta.main) {
  const tags = process.argv.slice(2);
  await ensureStandInImage(tags.length === 0 ? {} : { tags });
  process.stdout.write(`${(tags.length === 0 ? [STAND_IN_TAG] : tags).join("\n")}\n`);
}
