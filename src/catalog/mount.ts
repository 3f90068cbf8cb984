// "source:target[:ro]" as recipes write it, and what is refused whatever the policy.
import { posix } from "node:path";
import type { Mount } from "./recipe.ts";

const VOLUME = /^[A-Za-z0-9][\w.-]+$/;

/** What every container has at these places is the runtime's to decide; below the last three as well. */
const TAKEN_TARGETS = ["/", "/root/.cache"];
const TAKEN_TREES = ["/dev", "/proc", "/sys"];

/** Whoever has the socket has the machine. */
const DOCKER_SOCKETS = ["/var/run/docker.sock", "/run/docker.sock"];

/** Undefined when it is no mount: the target has to be absolute, the source an absolute folder or the name of a volume. */
export function parseMount(text: string): Mount | undefined {
  const match = /^([^:]+):(\/[^:]*)(?::(ro|rw))?$/.exec(text);
  const [, source = "", target = "", mode] = match ?? [];
  if (match === null || !(isVolume(source) || source.startsWith("/"))) return undefined;
  return { source: isVolume(source) ? source : plainPath(source), target: plainPath(target), readOnly: mode === "ro" };
}

/** As `parseMount` reads it. */
export function formatMount({ source, target, readOnly }: Mount): string {
  return `${source}:${target}${readOnly ? ":ro" : ""}`;
}

/** A volume by its name, not a folder of the host. */
export function isVolume(source: string): boolean {
  return VOLUME.test(source);
}

/** Why nobody can allow this mount; undefined when the policy decides. */
export function whyNeverMounted({ source, target }: Mount): string | undefined {
  if (climbs(source) || climbs(target)) return 'a path with ".." could lead anywhere; write where it leads';
  if (TAKEN_TARGETS.includes(target) || TAKEN_TREES.some((tree) => isWithin(target, tree)))
    return `nothing can be mounted at ${target}: what a container has there is the runtime's to decide`;
  return whySocket(source, DOCKER_SOCKETS);
}

/** Why a source cannot be mounted, where it is one of Docker's sockets or holds one; undefined when it does not. */
export function whySocket(source: string, sockets: readonly string[]): string | undefined {
  if (sockets.includes(source)) return "Docker's socket is never given to a replica: whoever has it has the machine";
  return sockets.some((path) => isWithin(path, source))
    ? `${source} holds Docker's socket, which is never given to a replica; mount a folder below it`
    : undefined;
}

/** Whether a path is a folder or lies below it; both plain and absolute, and a path that climbs is nowhere. */
export function isWithin(path: string, folder: string): boolean {
  if (climbs(path)) return false;
  return path === folder || path.startsWith(folder === "/" ? "/" : `${folder}/`);
}

/** Without ".", doubled slashes and a slash at its end. What climbs is left as it is, to be refused as it was written. */
export function plainPath(path: string): string {
  if (climbs(path)) return path;
  const plain = posix.normalize(path);
  return plain.length > 1 && plain.endsWith("/") ? plain.slice(0, -1) : plain;
}

function climbs(path: string): boolean {
  return path.split("/").includes("..");
}
