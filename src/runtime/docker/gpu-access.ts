// How a container is given exactly its GPUs: as device nodes, as CDI devices, or through NVIDIA's runtime. Pure.
import type { DeviceRequest } from "dockerode";
import { AimError } from "../../errors.ts";
import type { GpuVendor } from "../driver.ts";

export type GpuAccessSetting = "auto" | "devices" | "cdi" | "nvidia";
type Way = Exclude<GpuAccessSetting, "auto">;

/** What a container gets so that it can use its GPUs. */
export interface GpuAccess {
  readonly nodes: readonly DeviceNode[];
  /** Numeric groups that may open the nodes; names would be looked up in the image, which often lacks them. */
  readonly groups: readonly number[];
  readonly requests: readonly DeviceRequest[];
  readonly seccomp: "default" | "unconfined";
}

interface DeviceNode {
  readonly onHost: string;
  readonly inContainer: string;
}

export const NO_GPUS: GpuAccess = { nodes: [], groups: [], requests: [], seccomp: "default" };

/** What is known of the GPUs of one container, which are of one vendor, in the order the engine sees them. */
export interface GpuFacts {
  readonly vendor: GpuVendor;
  /** As CDI names them: "amd.com/gpu=0", "nvidia.com/gpu=GPU-…"; undefined for one whose name is not known. */
  readonly cdiNames: readonly (string | undefined)[];
  readonly nodes: readonly DeviceNode[];
  readonly groups: readonly number[];
}

/** Throws `runtime_failed` where the setting cannot give such GPUs. */
export function gpuAccess(setting: GpuAccessSetting, gpus: GpuFacts, engine: { nvidiaCdi: boolean }): GpuAccess {
  const way = chooseWay(setting, gpus.vendor, engine);
  // ROCm maps memory in ways that the default profile forbids.
  const seccomp = gpus.vendor === "nvidia" ? "default" : "unconfined";
  switch (way) {
    case "devices":
      return { nodes: gpus.nodes, groups: gpus.groups, requests: [], seccomp };
    case "cdi":
      // Docker refuses a count or options beside names.
      return {
        nodes: [],
        groups: gpus.groups,
        requests: [{ Driver: "cdi", DeviceIDs: namesOf(gpus), Count: 0 }],
        seccomp,
      };
    case "nvidia": {
      const DeviceIDs = namesOf(gpus).map((name) => name.slice(name.indexOf("=") + 1));
      return { ...NO_GPUS, requests: [{ Driver: "nvidia", DeviceIDs, Capabilities: [["gpu"]] }] };
    }
  }
}

/** The kernel's own barrier, device nodes, needs nothing to be set up, so AMD's GPUs are given that way unless told otherwise. */
function chooseWay(setting: GpuAccessSetting, vendor: GpuVendor, engine: { nvidiaCdi: boolean }): Way {
  const isNvidia = vendor === "nvidia";
  if (setting === "auto") return isNvidia ? (engine.nvidiaCdi ? "cdi" : "nvidia") : "devices";
  if (isNvidia ? setting === "devices" : setting === "nvidia")
    throw new AimError(
      "runtime_failed",
      `docker.gpuAccess ${setting} cannot give a container ${isNvidia ? "NVIDIA" : "AMD"} GPUs; set it to auto or cdi`,
      { data: { failure: "no_gpu_access" } },
    );
  return setting;
}

function namesOf({ vendor, cdiNames }: GpuFacts): string[] {
  const why =
    vendor === "nvidia"
      ? "nvidia-smi does not tell its UUID; see that it works"
      : "its number among CDI devices is not certain, as with divided cards; set docker.gpuAccess to auto";
  return cdiNames.map((name) => {
    if (name !== undefined) return name;
    throw new AimError("runtime_failed", `a GPU of the replica cannot be named to Docker: ${why}`, {
      data: { failure: "no_gpu_access" },
    });
  });
}
