// What a recipe asks of its container beyond an image and memory: the checks that hold whatever the policy says.
import { whyNeverMounted } from "./mount.ts";
import type { RecipeDraft } from "./recipe-schema.ts";
import type { Recipe } from "./recipe.ts";
import type { Finding } from "../lib/yaml-source.ts";

const CONTAINER_KEYS = ["image", "pull", "mounts", "capabilities", "network"] as const;

/** What is wrong with what a recipe asks of its container. */
export function checkContainerNeeds(draft: RecipeDraft): Finding[] {
  return [...checkRuntime(draft), ...checkMounts(draft.mounts ?? [])];
}

/** Why a recipe cannot run as a local process; undefined when it can. What it only prefers is no reason. */
export function whyNoProcess({ mounts, capabilities, network }: Recipe): string | undefined {
  const needs = [
    ...(mounts.length > 0 ? ["mounts"] : []),
    ...(capabilities.length > 0 ? ["capabilities"] : []),
    ...(network === "host" ? ["network: host"] : []),
  ];
  return needs.length === 0
    ? undefined
    : `it asks for ${needs.join(" and ")}, which a local process cannot have; give it "runtime: docker"`;
}

function checkRuntime(draft: RecipeDraft): Finding[] {
  if (draft.runtime !== "process" && !(draft.runtime === undefined && draft.engine === "sim")) return [];
  const asked = CONTAINER_KEYS.filter((key) => draft[key] !== undefined);
  return asked.map((key) => ({ path: [key], at: "key", message: whyNotForProcess(key, draft) }));
}

function whyNotForProcess(key: (typeof CONTAINER_KEYS)[number], { runtime }: RecipeDraft): string {
  const who = runtime === undefined ? 'the engine "sim" runs as a local process, which' : "the process runtime";
  if (key === "image") return `${who} starts programs, not images; give "command" or another runtime`;
  return `${who} has no containers; leave "${key}" out, or give another runtime`;
}

function checkMounts(mounts: Recipe["mounts"]): Finding[] {
  return mounts.flatMap((mount, index) => {
    const first = mounts.findIndex(({ target }) => target === mount.target);
    const taken = first < index ? `${mount.target} is taken by ${mounts[first]?.source} already` : undefined;
    const why = whyNeverMounted(mount) ?? taken;
    return why === undefined ? [] : [{ path: ["mounts", index], message: why }];
  });
}
