import { describe, expect, it } from "vitest";
import { isAimError } from "../../../src/errors.ts";
import { gpuAccess, NO_GPUS, type GpuFacts } from "../../../src/runtime/docker/gpu-access.ts";

const NODES = [
  { onHost: "/dev/kfd", inContainer: "/dev/kfd" },
  { onHost: "/dev/dri/renderD130", inContainer: "/dev/dri/renderD130" },
];
const AMD: GpuFacts = { vendor: "amd", cdiNames: ["amd.com/gpu=0"], nodes: NODES, groups: [44, 109] };
const NVIDIA: GpuFacts = { vendor: "nvidia", cdiNames: ["nvidia.com/gpu=GPU-1"], nodes: [], groups: [] };
const AMD_NODES = { nodes: NODES, groups: [44, 109], requests: [], seccomp: "unconfined" };
const AMD_CDI = {
  nodes: [],
  groups: [44, 109],
  requests: [{ Driver: "cdi", DeviceIDs: ["amd.com/gpu=0"], Count: 0 }],
  seccomp: "unconfined",
};
const NVIDIA_CDI = { ...NO_GPUS, requests: [{ Driver: "cdi", DeviceIDs: ["nvidia.com/gpu=GPU-1"], Count: 0 }] };
const NVIDIA_RUNTIME = {
  ...NO_GPUS,
  requests: [{ Driver: "nvidia", DeviceIDs: ["GPU-1"], Capabilities: [["gpu"]] }],
};

describe("gpuAccess", () => {
  it.each([
    ["auto", AMD, true, AMD_NODES],
    ["auto", AMD, false, AMD_NODES],
    ["devices", AMD, true, AMD_NODES],
    ["cdi", AMD, false, AMD_CDI],
    ["auto", NVIDIA, true, NVIDIA_CDI],
    ["auto", NVIDIA, false, NVIDIA_RUNTIME],
    ["cdi", NVIDIA, false, NVIDIA_CDI],
    ["nvidia", NVIDIA, true, NVIDIA_RUNTIME],
  ] as const)("%s, %j, CDI of NVIDIA's there: %s", (setting, gpus, nvidiaCdi, expected) => {
    expect(gpuAccess(setting, gpus, { nvidiaCdi })).toEqual(expected);
  });

  it.each([
    ["devices", NVIDIA, "NVIDIA GPUs; set it to auto or cdi"],
    ["nvidia", AMD, "AMD GPUs; set it to auto or cdi"],
    ["cdi", { ...AMD, cdiNames: [undefined] }, "set docker.gpuAccess to auto"],
    ["nvidia", { ...NVIDIA, cdiNames: [undefined] }, "nvidia-smi"],
  ] as const)("refuses %s for %j", (setting, gpus, words) => {
    let error: unknown;
    try {
      gpuAccess(setting, gpus, { nvidiaCdi: true });
    } catch (thrown) {
      error = thrown;
    }
    expect(isAimError(error, "runtime_failed") && error.data["failure"]).toBe("no_gpu_access");
    expect(String(error)).toContain(words);
  });
});
