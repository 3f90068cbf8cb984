// Which device nodes of GPUs the gateway itself can see. In a container it may see none, and name them to Docker all the same.
import { access, readdir, readlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { parseRenderMinor } from "./files.ts";

export interface DeviceNodes {
  readonly devRoot: string;
  readonly hasKfd: boolean;
  readonly renderMinors: ReadonlySet<number>;
}

/** Never throws: what cannot be seen is not there. */
export async function readDeviceNodes(devRoot: string): Promise<DeviceNodes> {
  const [hasKfd, names] = await Promise.all([
    access(join(devRoot, "kfd")).then(
      () => true,
      () => false,
    ),
    readdir(join(devRoot, "dri")).catch(() => []),
  ]);
  const renderMinors = names.map(parseRenderMinor).filter((minor) => minor !== undefined);
  return { devRoot, hasKfd, renderMinors: new Set(renderMinors) };
}

/** "/dev/dri/renderD128" */
export function renderNode(devRoot: string, minor: number): string {
  return join(devRoot, "dri", `renderD${minor}`);
}

/** The render minor that udev's links give for a PCI address. */
export async function renderMinorByPath(devRoot: string, address: string): Promise<number | undefined> {
  const link = join(devRoot, "dri/by-path", `pci-${address}-render`);
  return readlink(link).then(
    (target) => parseRenderMinor(basename(target)),
    () => undefined,
  );
}

/** A node that is missing where others can be seen means that the GPU is lost, or was left out on purpose. */
export function isMissing({ hasKfd, renderMinors }: DeviceNodes, minor: number): boolean {
  return (hasKfd || renderMinors.size > 0) && !renderMinors.has(minor);
}

/** What to give a gateway that cannot see the nodes of GPUs that are there; `denied`: the kernel kept facts from it. */
export function hintAt({ devRoot, hasKfd, renderMinors }: DeviceNodes, denied: number): string | undefined {
  const unseen = [...(hasKfd ? [] : ["kfd"]), ...(renderMinors.size > 0 ? [] : ["dri"])].map((name) =>
    join(devRoot, name),
  );
  if (unseen.length === 0 && denied === 0) return undefined;
  const [kfd, dri] = ["kfd", "dri"].map((name) => join(devRoot, name));
  const lack =
    unseen.length === 0
      ? "some GPUs' device nodes are kept from the gateway"
      : `the gateway cannot see ${unseen.join(" and ")}`;
  return `${lack}; if it runs in a container, give it "--device ${kfd} --device ${dri}", so that it sees how GPUs are divided and linked, and which groups may open them`;
}
