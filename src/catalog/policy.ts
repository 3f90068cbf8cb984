// What recipes may ask for beyond GPUs, memory and a command: decided by config.yaml, which is the operator's alone.
import { namesOf } from "./image.ts";
import { formatMount, isVolume, isWithin, plainPath, whySocket } from "./mount.ts";
import type { Mount, Recipe } from "./recipe.ts";
import type { Finding } from "../lib/yaml-source.ts";

export interface Policy {
  /** Folders of the host, with all below them, and volumes; with ":ro" only to read. */
  readonly mounts: readonly string[];
  readonly capabilities: readonly string[];
  readonly hostNetwork: boolean;
  /** Whether recipes may run programs of this machine, which have all the gateway's rights; absent: no. */
  readonly processes?: boolean;
  /** Beginnings of image names; absent: any. */
  readonly registries?: readonly string[] | undefined;
  /** Where images without a registry of their own come from, which is part of their names. */
  readonly registry?: string | undefined;
  /** Docker's own, where it is not at its usual place: nothing gives it away. */
  readonly dockerSocket?: string | undefined;
}

/** Nothing beyond the usual, from anywhere. */
export const STRICT_POLICY: Policy = { mounts: [], capabilities: [], hostNetwork: false };

/** Everything a recipe asks for and may not have, each with the key of config.yaml that would allow it. */
export function checkPolicy(recipe: Recipe, policy: Policy): Finding[] {
  const finding = (path: readonly PropertyKey[], asks: string, remedy: string): Finding => ({
    path,
    message: `recipe ${recipe.id} ${asks}; allow it with policy.${remedy} in config.yaml`,
  });
  const mounts = recipe.mounts.flatMap((mount, index) => {
    const why = policy.dockerSocket && whySocket(mount.source, [socketPath(policy.dockerSocket)]);
    if (why) return [{ path: ["mounts", index], message: why }];
    if (policy.mounts.some((entry) => allowsMount(entry, mount))) return [];
    const canRead = policy.mounts.some((entry) => allowsMount(entry, { ...mount, readOnly: true }));
    const asks = canRead
      ? `mounts ${mount.source} to write, and may only read it: write "${formatMount({ ...mount, readOnly: true })}"`
      : `mounts ${mount.source}`;
    return [finding(["mounts", index], asks, `mounts: [${mount.source}]`)];
  });
  const capabilities = recipe.capabilities.flatMap((name, index) =>
    policy.capabilities.includes(name)
      ? []
      : [finding(["capabilities", index], `asks for the capability ${name}`, `capabilities: [${name}]`)],
  );
  const usesHost = recipe.network === "host" && !policy.hostNetwork;
  const isProgram = recipe.runtime === "process" && !isBundled(recipe) && policy.processes !== true;
  return [
    ...checkImage(recipe, policy),
    ...mounts,
    ...capabilities,
    ...(usesHost ? [finding(["network"], "uses the host's network", "hostNetwork: true")] : []),
    ...(isProgram ? [finding(["runtime"], "runs a program of this machine", "processes: true")] : []),
  ];
}

/** The simulation is the gateway's own program: a recipe can only tell it how to behave. */
function isBundled({ engine, command }: Recipe): boolean {
  return engine === "sim" && command === undefined;
}

/** "unix:///run/docker.sock" is another way to write its path. */
function socketPath(address: string): string {
  return plainPath(address.replace(/^unix:\/\//i, ""));
}

function allowsMount(entry: string, { source, readOnly }: Mount): boolean {
  const onlyToRead = entry.endsWith(":ro");
  if (onlyToRead && !readOnly) return false;
  const allowed = onlyToRead ? entry.slice(0, -":ro".length) : entry;
  return isVolume(source) || isVolume(allowed) ? source === allowed : isWithin(source, plainPath(allowed));
}

/** Images that config.yaml names are the operator's own choice. */
function checkImage({ id, image }: Recipe, { registries, registry }: Policy): Finding[] {
  if (image === undefined || registries === undefined) return [];
  const names = namesOf(image, registry);
  if (names.some((name) => registries.some((entry) => isWithin(name, entry.replace(/\/$/, ""))))) return [];
  const [full] = names;
  const message =
    full === undefined
      ? `recipe ${id} runs ${image}, which names no registry; name an image that policy.registries in config.yaml allows`
      : `recipe ${id} runs an image of ${folderOf(full)}; allow it with policy.registries: [${folderOf(full)}] in config.yaml`;
  return [{ path: ["image"], message }];
}

/** "ghcr.io/acme/server" → "ghcr.io/acme/" */
function folderOf(name: string): string {
  return name.slice(0, name.lastIndexOf("/") + 1);
}
