// GPU ids -> the device nodes and groups that a container needs to use exactly those GPUs.
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { AimError } from "../../errors.ts";
import { NO_DEVICES, type DeviceAccess } from "./create.ts";
import { discoverGpus, type DeviceRoots } from "../gpus/discover.ts";

/** In the order of `gpus`. Throws `runtime_failed` for one that this machine does not have. */
export async function accessTo(gpus: readonly string[], roots: DeviceRoots): Promise<DeviceAccess> {
  if (gpus.length === 0) return NO_DEVICES;
  const { gpus: present } = await discoverGpus(roots);
  const renderNodes = gpus.map((id) => {
    const gpu = present.find((one) => one.id === id);
    if (gpu?.renderNode !== undefined && gpu.unusable === undefined) return gpu.renderNode;
    const known = present.map((one) => one.id).join(", ");
    throw new AimError(
      "runtime_failed",
      gpu === undefined
        ? `GPU ${id} is not on this machine any more (there: ${known === "" ? "none" : known})`
        : `GPU ${id} cannot be given to a container: ${gpu.unusable ?? "it has no device node"}`,
      { data: { failure: "no_gpu_access" } },
    );
  });
  const onHost = [join(roots.devRoot, "kfd"), ...renderNodes];
  const nodes = onHost.map((path) => ({
    onHost: path,
    inContainer: join("/dev", path.slice(roots.devRoot.length)),
  }));
  return { nodes, groups: await groupsOf(onHost) };
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
