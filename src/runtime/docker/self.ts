// Whether this gateway itself runs in a container of the engine it speaks to, and in which.
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import type { Containers } from "./containers.ts";

/** The container that this gateway runs in. */
export interface Self {
  readonly id: string;
  /** "bridge", "host", "none", "container:ID" or the name of a network. */
  readonly networkMode: string;
}

/** What a process can see of the container it is in. */
export interface Traces {
  /** /proc/self/mountinfo: Docker mounts files of the container's own folder. */
  readonly mountinfo: string;
  /** /proc/self/cgroup: with cgroup v1, or in the host's cgroup namespace. */
  readonly cgroup: string;
  readonly hostname: string;
}

/** Ids of containers this may be, the likeliest first. */
export function possibleIds({ mountinfo, cgroup, hostname }: Traces): readonly string[] {
  const mounted = mountinfo.matchAll(/\/containers\/([0-9a-f]{64})\/(?:hostname|hosts|resolv\.conf)/g);
  const grouped = cgroup.matchAll(/[/-]([0-9a-f]{64})(?:\.scope)?$/gm);
  const found = [...mounted, ...grouped].map(([, id]) => id ?? "");
  // The beginning of the id, unless the container was given a name of its own.
  return [...new Set([...found, ...(/^[0-9a-f]{12}$/.test(hostname) ? [hostname] : [])])];
}

/** Undefined on the host, and in a container that another engine runs. `known` is its id or name where that was told. */
export async function findSelf(
  containers: Containers,
  known: string | undefined,
  signal: AbortSignal,
): Promise<Self | undefined> {
  const candidates = known === undefined ? possibleIds(await readTraces()) : [known];
  for (const candidate of candidates) {
    const found = await containers.inspect(candidate, signal);
    // Not one that merely has such a name, or is long gone.
    const isIt = known !== undefined || found?.ref.id.startsWith(candidate) === true;
    if (isIt && found?.state === "running") return { id: found.ref.id, networkMode: found.networkMode };
  }
  return undefined;
}

/** Where there is no /proc there are no containers either. */
async function readTraces(): Promise<Traces> {
  const read = (path: string) => readFile(path, "utf8").catch(() => "");
  const [mountinfo, cgroup] = await Promise.all([read("/proc/self/mountinfo"), read("/proc/self/cgroup")]);
  return { mountinfo, cgroup, hostname: hostname() };
}
