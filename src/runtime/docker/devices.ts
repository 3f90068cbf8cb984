// GPU ids -> what a container needs to use exactly those GPUs, as this machine and this engine have them now.
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { AimError } from "../../errors.ts";
import { discoverGpus, type DeviceRoots, type HostGpu } from "../gpus/discover.ts";
import type { SmiTools } from "../gpus/smi.ts";
import { gpuAccess, NO_GPUS, type GpuAccess, type GpuAccessSetting } from "./gpu-access.ts";

export interface Host {
  readonly roots: DeviceRoots;
  readonly tools: SmiTools;
  readonly setting: GpuAccessSetting;
  /** What the engine says of itself; asked only where it matters. */
  readonly engine: () => Promise<{ readonly nvidiaCdi: boolean }>;
}

/** In the order of `ids`. Throws `runtime_failed` for one that this machine does not have. */
export async function accessTo(ids: readonly string[], { roots, tools, setting, engine }: Host): Promise<GpuAccess> {
  if (ids.length === 0) return NO_GPUS;
  const { gpus: present } = await discoverGpus(roots, { tools });
  const gpus = ids.map((id) => find(id, present));
  const vendors = new Set(gpus.map(({ vendor }) => vendor));
  const [vendor = "none"] = vendors;
  if (vendors.size > 1) throw noAccess(`GPUs ${ids.join(", ")} are of more than one vendor`);
  const nodes = vendor === "amd" ? nodesOf(gpus, roots.devRoot) : [];
  const facts = {
    vendor,
    cdiNames: gpus.map(({ cdiName }) => cdiName),
    nodes,
    groups: await groupsOf(nodes.map(({ onHost }) => onHost)),
  };
  return gpuAccess(setting, facts, vendor === "nvidia" && setting === "auto" ? await engine() : { nvidiaCdi: false });
}

function find(id: string, present: readonly HostGpu[]): HostGpu {
  const gpu = present.find((one) => one.id === id);
  if (gpu === undefined) {
    const known = present.map((one) => one.id).join(", ");
    throw noAccess(`GPU ${id} is not on this machine any more (there: ${known === "" ? "none" : known})`);
  }
  if (gpu.unusable !== undefined) throw noAccess(`GPU ${id} cannot be given to a container: ${gpu.unusable}`);
  return gpu;
}

/** `/dev/kfd`, which all compute goes through, and one render node per GPU: never the folder that holds them all. */
function nodesOf(gpus: readonly HostGpu[], devRoot: string) {
  const renderNodes = gpus.map(({ id, renderNode }) => {
    if (renderNode !== undefined) return renderNode;
    throw noAccess(`GPU ${id} cannot be given to a container: it has no device node`);
  });
  return [join(devRoot, "kfd"), ...renderNodes].map((onHost) => ({
    onHost,
    inContainer: join("/dev", onHost.slice(devRoot.length)),
  }));
}

/** Root needs no group, and a gateway in a container may not see the host's nodes: both add none. */
async function groupsOf(paths: readonly string[]): Promise<readonly number[]> {
  const groups = await Promise.all(
    paths.map((path) =>
      stat(path).then(
        ({ gid }) => gid,
        () => 0,
      ),
    ),
  );
  return [...new Set(groups)].filter((gid) => gid !== 0).sort((a, b) => a - b);
}

function noAccess(message: string): AimError {
  return new AimError("runtime_failed", message, { data: { failure: "no_gpu_access" } });
}
