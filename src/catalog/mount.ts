// "source:target[:ro]" as recipes write it.
import type { Mount } from "./recipe.ts";

/** Undefined when it is no mount: the target has to be absolute, the source an absolute folder or the name of a volume. */
export function parseMount(text: string): Mount | undefined {
  const match = /^([^:]+):(\/[^:]*)(?::(ro|rw))?$/.exec(text);
  const [, source = "", target = "", mode] = match ?? [];
  const isVolume = /^[\w][\w.-]*$/.test(source);
  if (match === null || !(isVolume || source.startsWith("/"))) return undefined;
  return { source, target, readOnly: mode === "ro" };
}
