// What of this machine, apart from any runtime, could keep the gateway from working well: Node, its limits, its folders, memory.
import { access, constants, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { codeOf, messageOf } from "../errors.ts";
import { formatSize } from "../lib/units.ts";
import type { Check } from "./driver.ts";
import { ok, problem, softLimit, textOf, warning } from "./findings.ts";

export interface HostOptions {
  /** "/proc"; elsewhere in tests. */
  readonly procRoot: string;
  /** "v24.21.0" */
  readonly nodeVersion: string;
  /** Folders the gateway writes to. */
  readonly folders: readonly { readonly name: string; readonly path: string }[];
  /** Memory of the machine that the configuration or a recipe counts on. */
  readonly memoryNeeds: readonly { readonly what: string; readonly bytes: number }[];
}

const NODE = 24;
/** Two sockets per stream, and room for a few thousand of them. */
const OPEN_FILES = 65_536;
const FREE_BYTES = 2 ** 30;

/** Never rejects but when the signal aborts. */
export async function examineHost(options: HostOptions, signal: AbortSignal): Promise<readonly Check[]> {
  const { procRoot, folders } = options;
  signal.throwIfAborted();
  const looks = await Promise.all([
    checkOpenFiles(procRoot),
    ...folders.map(({ name, path }) => checkFolder(name, path)),
    checkMemory(procRoot, options.memoryNeeds),
  ]);
  signal.throwIfAborted();
  return [checkNode(options.nodeVersion), ...looks.flat()];
}

function checkNode(version: string): Check {
  const major = Number(/^v?(\d+)/.exec(version)?.[1]);
  if (major >= NODE) return ok("node", version);
  return problem("node", `${version} is too old`, `install Node ${NODE} or later ("npx aim-engine" brings its own)`);
}

async function checkOpenFiles(procRoot: string): Promise<readonly Check[]> {
  const limit = await softLimit(join(procRoot, "self/limits"), "Max open files");
  if (limit === undefined) return [];
  const found = limit === Infinity ? "no limit" : `at most ${limit}`;
  if (limit >= OPEN_FILES) return [ok("open files", found)];
  const fix = `raise it to ${OPEN_FILES}: LimitNOFILE=${OPEN_FILES} in the systemd unit, --ulimit nofile=${OPEN_FILES} of a container, "ulimit -n ${OPEN_FILES}" in a shell`;
  return [warning("open files", `${found}, and each stream takes two`, fix)];
}

async function checkFolder(name: string, path: string): Promise<Check> {
  const there = await nearestFolder(path);
  try {
    await access(there, constants.W_OK | constants.X_OK);
    const { bavail, bsize } = await statfs(there);
    const found = `${path}: ${formatSize(bavail * bsize)} free`;
    if (bavail * bsize >= FREE_BYTES) return ok(name, found);
    return warning(name, found, `free space on its disk, or name another folder in the configuration`);
  } catch (error) {
    return problem(name, `${path} cannot be written (${codeOf(error) ?? messageOf(error)})`, remedyFor(error, path));
  }
}

function remedyFor(error: unknown, path: string): string {
  if (codeOf(error) === "EACCES") {
    const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
    const word = shellWord(path);
    return `sudo mkdir -p ${word} && sudo chown ${uid}:${gid} ${word}`;
  }
  return "name another folder in the configuration; in a container, mount a volume there";
}

/** As a shell would take it. */
function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** The folder itself, or the one it would be made in. */
async function nearestFolder(path: string): Promise<string> {
  let folder = path;
  while (folder !== dirname(folder)) {
    const isThere = await access(folder).then(
      () => true,
      (error: unknown) => codeOf(error) !== "ENOENT",
    );
    if (isThere) return folder;
    folder = dirname(folder);
  }
  return folder;
}

async function checkMemory(procRoot: string, needs: HostOptions["memoryNeeds"]): Promise<readonly Check[]> {
  const text = await textOf(join(procRoot, "meminfo"));
  const [total, available] = [kibibytes(text, "MemTotal"), kibibytes(text, "MemAvailable")];
  if (total === undefined) return [];
  const found = `${formatSize(total)}${available === undefined ? "" : `, ${formatSize(available)} available`}`;
  const tooMuch = needs.filter(({ bytes }) => bytes > total);
  if (tooMuch.length === 0) return [ok("memory", found)];
  return tooMuch.map(({ what, bytes }) =>
    warning("memory", `${found}, but ${what} is ${formatSize(bytes)}`, "lower it, or use a machine with more memory"),
  );
}

function kibibytes(text: string | undefined, key: string): number | undefined {
  const found = new RegExp(`^${key}:\\s+(\\d+) kB`, "m").exec(text ?? "")?.[1];
  return found === undefined ? undefined : Number(found) * 1024;
}
