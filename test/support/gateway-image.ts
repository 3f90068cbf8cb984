// The gateway's own image, built by the real Dockerfile without a registry: its two base images are made of this machine's
// files, and npm finds what it needs in a cache that is filled once per lockfile.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const ROOT = resolve(import.meta.dirname, "../..");
const CACHES = join(ROOT, "node_modules/.cache/gateway-image");
const HASH_LABEL = "aim-engine.test-base";
/** What the Dockerfile's RUN lines call. */
const TOOLS = ["/bin/sh", "/bin/mkdir", "/bin/chmod", "/usr/bin/env"];

const GATEWAY_IMAGE = "aim-engine:test";

/** Resolves with its name. Docker's build cache makes the second time quick. */
export async function ensureGatewayImage(): Promise<string> {
  const npmCache = await fillNpmCache();
  const base = await ensureBase("aim-engine-build-base:test", `${process.version} ${npmCache}`, async (tree) => {
    await copyPrograms(tree, [process.execPath, ...TOOLS]);
    await cp(process.execPath, join(tree, "usr/local/bin/node"));
    await cp(await npmFolder(), join(tree, "usr/local/lib/npm"), { recursive: true });
    await cp(npmCache, join(tree, "root/.npm"), { recursive: true });
    await writeFile(join(tree, "usr/local/bin/npm"), NPM, { mode: 0o755 });
  });
  const runtime = await ensureBase("aim-engine-run-base:test", process.version, (tree) =>
    copyPrograms(tree, [process.execPath]),
  );
  const args = [`BASE=${base}`, `RUNTIME=${runtime}`].flatMap((arg) => ["--build-arg", arg]);
  const build = ["build", "--quiet", "--network", "none", ...args];
  // Under a name of its own, else what npm installed would be removed with the images of earlier sources.
  await docker([...build, "--target", "dependencies", "--tag", "aim-engine-dependencies:test", ROOT]);
  await docker([...build, "--tag", GATEWAY_IMAGE, ROOT]);
  // Not those that another test file is building right now; and if one is clearing up, it does so for both.
  const prune = docker(["image", "prune", "--force", "--filter", `label=${HASH_LABEL}`, "--filter", "until=10m"]);
  await prune.catch((error: unknown) => {
    if (!String(error).includes("already running")) throw error;
  });
  return GATEWAY_IMAGE;
}

/** Offline: a build of a test talks to nobody. */
const NPM = `#!/bin/sh
exec /usr/local/bin/node /usr/local/lib/npm/bin/npm-cli.js --offline --cache /root/.npm "$@"
`;

/** The packages of the lockfile, as npm keeps them. Two test files may be at it at once: the first to be done is the one. */
async function fillNpmCache(): Promise<string> {
  const files = ["package.json", "package-lock.json", ".npmrc"];
  const texts = await Promise.all(files.map((file) => readFile(join(ROOT, file))));
  const hash = createHash("sha256").update(Buffer.concat(texts)).digest("hex").slice(0, 16);
  const cache = join(CACHES, hash);
  if (await isThere(cache)) return cache;
  await mkdir(CACHES, { recursive: true });
  const stale = (await readdir(CACHES)).filter((name) => /^[0-9a-f]{16}$/.test(name));
  await Promise.all(stale.map((name) => rm(join(CACHES, name), { recursive: true, force: true })));
  const project = await mkdtemp(join(CACHES, "filling-"));
  await Promise.all(files.map((file) => cp(join(ROOT, file), join(project, file))));
  const npm = join(await npmFolder(), "bin/npm-cli.js");
  const filled = join(project, "cache");
  await run(process.execPath, [npm, "ci", "--omit=dev", "--ignore-scripts", "--cache", filled], { cwd: project });
  // Not over one that is there by now.
  await rename(filled, cache).catch(() => undefined);
  await rm(project, { recursive: true });
  return cache;
}

async function npmFolder(): Promise<string> {
  const cli = process.env["npm_execpath"] ?? (await realpath((await run("which", ["npm"])).stdout.trim()));
  return dirname(dirname(await realpath(cli)));
}

async function ensureBase(tag: string, hash: string, fill: (tree: string) => Promise<void>): Promise<string> {
  const label = `${HASH_LABEL}=${createHash("sha256").update(hash).digest("hex").slice(0, 16)}`;
  const { stdout } = await docker(["images", "--quiet", "--filter", `label=${label}`, tag]);
  if (stdout.trim() !== "") return tag;
  const tree = await mkdtemp(join(tmpdir(), "aim-engine-base-"));
  for (const folder of ["usr/local/bin", "root", "etc", "bin"]) await mkdir(join(tree, folder), { recursive: true });
  await mkdir(join(tree, "tmp"));
  await chmod(join(tree, "tmp"), 0o1777);
  await fill(tree);
  const tar = `${tree}.tar`;
  await run("tar", ["--create", "--file", tar, "--directory", tree, "."]);
  const path = "ENV PATH=/usr/local/bin:/usr/bin:/bin";
  await docker(["import", "--change", path, "--change", `LABEL ${label}`, tar, tag]);
  await Promise.all([rm(tree, { recursive: true }), rm(tar)]);
  return tag;
}

/** Programs at their own path, with the libraries they are linked to. */
async function copyPrograms(tree: string, programs: readonly string[]): Promise<void> {
  for (const program of programs) {
    const { stdout } = await run("ldd", [program]);
    const libraries = [...stdout.matchAll(/(?:=> |^\s+)(\/\S+) \(/gm)].map((match) => match[1] ?? "");
    for (const path of program === process.execPath ? libraries : [program, ...libraries]) {
      await mkdir(dirname(join(tree, path)), { recursive: true });
      await cp(path, join(tree, path), { dereference: true });
    }
  }
}

function docker(args: readonly string[]): Promise<{ stdout: string }> {
  // The classic builder: the other one is a plugin that is not always there.
  return run("docker", args, { env: { PATH: process.env["PATH"], DOCKER_BUILDKIT: "0" }, maxBuffer: 2 ** 24 });
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
