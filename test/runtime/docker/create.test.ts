import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LABELS, type LaunchSpec } from "../../../src/catalog/launch-spec.ts";
import { createBody, imageOf, type CreateContext, type Findings } from "../../../src/runtime/docker/create.ts";
import { gpuAccess, NO_GPUS } from "../../../src/runtime/docker/gpu-access.ts";
import { DOCKER_LABELS } from "../../../src/runtime/docker/labels.ts";

const SPEC: LaunchSpec = {
  replica: "qwen3-32b-1",
  runtime: "docker",
  image: "rocm/vllm:latest",
  argv: ["vllm", "serve", "Qwen/Qwen3-32B", "--host", "{host}", "--port", "{port}", "--note", "a  b"],
  env: { HF_TOKEN: "hf_secret", SELF: "http://{host}:{port}" },
  gpus: [],
  pull: "missing",
  mounts: [],
  capabilities: [],
  network: "own",
  resources: {},
  labels: { [LABELS.replica]: "qwen3-32b-1", [LABELS.installation]: "forged" },
  readiness: { servedModel: "Qwen/Qwen3-32B", warmUp: true, timeoutMs: 1 },
  stopGraceMs: 45_500,
};
const CONTEXT: CreateContext = {
  installation: "here",
  network: "bridge",
  publish: false,
  cache: "none",
  binds: [],
  gpuHost: "/dev",
};
const FOUND: Findings = { access: NO_GPUS, imageId: `sha256:${"0123456789abcdef".repeat(4)}` };
const GPU_FOUND: Findings = {
  ...FOUND,
  access: {
    nodes: [
      { onHost: "/dev/kfd", inContainer: "/dev/kfd" },
      { onHost: "/dev/dri/renderD130", inContainer: "/dev/dri/renderD130" },
    ],
    groups: [44, 109],
    requests: [],
    seccomp: "unconfined",
  },
};

function envOf(body: { readonly Env?: string[] | undefined }): Record<string, string> {
  return Object.fromEntries(
    (body.Env ?? []).map((entry) => [/^[^=]*/.exec(entry)?.[0] ?? "", entry.replace(/^[^=]*=/, "")]),
  );
}

describe("createBody", () => {
  it("overrules the image's entrypoint, without a shell, and says where to listen", () => {
    const body = createBody(SPEC, CONTEXT, FOUND);
    expect(body.Entrypoint).toEqual(["vllm", "serve"]);
    expect(body.Cmd).toEqual(["Qwen/Qwen3-32B", "--host", "0.0.0.0", "--port", "8000", "--note", "a  b"]);
    expect(body.Env).toEqual(["HF_TOKEN=hf_secret", "SELF=http://0.0.0.0:8000"]);
  });

  it("takes only the program of another engine as the entrypoint", () => {
    const body = createBody({ ...SPEC, argv: ["python3", "-m", "sglang.launch_server"] }, CONTEXT, FOUND);
    expect(body.Entrypoint).toEqual(["python3"]);
    expect(body.Cmd).toEqual(["-m", "sglang.launch_server"]);
  });

  it("marks the container as this installation's, whatever the spec says", () => {
    const { Labels } = createBody(SPEC, CONTEXT, FOUND);
    expect(Labels).toEqual({ [LABELS.replica]: "qwen3-32b-1", [LABELS.installation]: "here" });
  });

  it("leaves restarts, health and the end of life to the gateway", () => {
    const body = createBody(SPEC, CONTEXT, FOUND);
    expect(body).toMatchObject({ Healthcheck: { Test: ["NONE"] }, StopTimeout: 46 });
    expect(body.HostConfig).toMatchObject({
      Init: true,
      RestartPolicy: { Name: "no" },
      LogConfig: { Type: "json-file", Config: { "max-size": "100m", "max-file": "3" } },
      NetworkMode: "bridge",
    });
  });

  it("asks for no more rights than it needs without GPUs", () => {
    const { HostConfig = {}, ...body } = createBody(SPEC, CONTEXT, FOUND);
    expect(Object.keys(HostConfig).sort()).toEqual(["Init", "LogConfig", "NetworkMode", "RestartPolicy"]);
    expect(body).not.toHaveProperty("ExposedPorts");
  });

  it("gives exactly the replica's device nodes, their groups by number, and room to map memory", () => {
    const { HostConfig = {} } = createBody({ ...SPEC, gpus: ["0000:c1:00.0"] }, CONTEXT, GPU_FOUND);
    expect(HostConfig.Devices).toEqual([
      { PathOnHost: "/dev/kfd", PathInContainer: "/dev/kfd", CgroupPermissions: "rwm" },
      { PathOnHost: "/dev/dri/renderD130", PathInContainer: "/dev/dri/renderD130", CgroupPermissions: "rwm" },
    ]);
    expect(HostConfig.GroupAdd).toEqual(["44", "109"]);
    expect(HostConfig.SecurityOpt).toEqual(["seccomp=unconfined"]);
    for (const right of ["Privileged", "Ulimits", "IpcMode", "CapAdd"]) expect(HostConfig).not.toHaveProperty(right);
  });

  it("sets the limits that the spec has", () => {
    const resources = { memoryBytes: 1e9, memorySwapBytes: 2e9, shmBytes: 3e9, cpus: 1.5 };
    expect(createBody({ ...SPEC, resources }, CONTEXT, FOUND).HostConfig).toMatchObject({
      Memory: 1e9,
      MemorySwap: 2e9,
      ShmSize: 3e9,
      NanoCpus: 1_500_000_000,
    });
  });

  it("publishes on the loopback only, at a port that Docker picks, where asked to", () => {
    const body = createBody(SPEC, { ...CONTEXT, publish: true }, FOUND);
    expect(body.ExposedPorts).toEqual({ "8000/tcp": {} });
    expect(body.HostConfig?.PortBindings).toEqual({ "8000/tcp": [{ HostIp: "127.0.0.1", HostPort: "0" }] });
  });

  it("binds what all replicas share", () => {
    const body = createBody(SPEC, { ...CONTEXT, binds: ["models:/models:ro"] }, FOUND);
    expect(body.HostConfig?.Binds).toEqual(["models:/models:ro"]);
    expect(body.HostConfig).not.toHaveProperty("Mounts");
  });

  it("mounts folders and volumes of the recipe in a way that refuses a missing folder", () => {
    const mounts = [
      { source: "/srv/models", target: "/models", readOnly: true },
      { source: "scratch", target: "/scratch", readOnly: false },
    ];
    expect(createBody({ ...SPEC, mounts }, CONTEXT, FOUND).HostConfig?.Mounts).toEqual([
      { Type: "bind", Source: "/srv/models", Target: "/models", ReadOnly: true },
      { Type: "volume", Source: "scratch", Target: "/scratch", ReadOnly: false },
    ]);
  });

  it("adds the capabilities of the recipe, and no others", () => {
    const body = createBody({ ...SPEC, capabilities: ["SYS_PTRACE"] }, CONTEXT, FOUND);
    expect(body.HostConfig?.CapAdd).toEqual(["SYS_PTRACE"]);
  });

  it("claims its GPUs by label, whatever the spec says", () => {
    const spec = { ...SPEC, gpus: ["0000:c1:00.0", "0000:03:00.0"], labels: { [LABELS.gpus]: "forged" } };
    expect(createBody(spec, { ...CONTEXT, gpuHost: "/rig/dev" }, GPU_FOUND).Labels).toEqual({
      [LABELS.installation]: "here",
      [LABELS.gpus]: "0000:c1:00.0,0000:03:00.0",
      [DOCKER_LABELS.gpuHost]: "/rig/dev",
    });
  });

  it("listens on the host's loopback alone, at the port it was given, on the host's network", () => {
    const body = createBody(
      { ...SPEC, network: "host" },
      { ...CONTEXT, network: "aim" },
      { ...FOUND, hostPort: 18_007 },
    );
    expect(body.Cmd?.join(" ")).toContain("--host 127.0.0.1 --port 18007");
    expect(envOf(body)["SELF"]).toBe("http://127.0.0.1:18007");
    expect(body.Labels).toMatchObject({ [DOCKER_LABELS.port]: "18007" });
    expect(body.HostConfig?.NetworkMode).toBe("host");
    expect(body.HostConfig).not.toHaveProperty("PortBindings");
  });

  it("gives device requests as they are, without nodes", () => {
    const access = gpuAccess(
      "nvidia",
      { vendor: "nvidia", cdiNames: ["nvidia.com/gpu=GPU-1"], nodes: [], groups: [] },
      { nvidiaCdi: false },
    );
    const { HostConfig = {} } = createBody({ ...SPEC, gpus: ["0000:c1:00.0"] }, CONTEXT, { ...FOUND, access });
    expect(HostConfig.DeviceRequests).toEqual([{ Driver: "nvidia", DeviceIDs: ["GPU-1"], Capabilities: [["gpu"]] }]);
    for (const right of ["Devices", "GroupAdd", "SecurityOpt"]) expect(HostConfig).not.toHaveProperty(right);
  });

  describe("caches", () => {
    const CACHING = { ...CONTEXT, cache: "aim-cache" };
    const MI300X = { ...SPEC, gpus: ["0000:c1:00.0"], gpuKind: { vendor: "amd", arch: "gfx942" } } as const;

    it("keeps weights for all, and what is compiled apart by image and architecture", () => {
      const body = createBody(MI300X, CACHING, GPU_FOUND);
      expect(body.HostConfig?.Mounts).toEqual([
        { Type: "volume", Source: "aim-cache", Target: "/root/.cache", ReadOnly: false },
      ]);
      expect(envOf(body)).toMatchObject({
        HF_HOME: "/root/.cache/huggingface",
        VLLM_CACHE_ROOT: "/root/.cache/aim-engine/0123456789ab-gfx942/vllm",
        TRITON_CACHE_DIR: "/root/.cache/aim-engine/0123456789ab-gfx942/triton",
        TORCHINDUCTOR_CACHE_DIR: "/root/.cache/aim-engine/0123456789ab-gfx942/inductor",
        AITER_JIT_DIR: "/root/.cache/aim-engine/0123456789ab-gfx942/aiter/qwen3-32b-1",
      });
    });

    it.each([
      ["without GPUs", SPEC, "0123456789ab-cpu"],
      ["of NVIDIA's GPUs", { ...MI300X, gpuKind: { vendor: "nvidia" } }, "0123456789ab-nvidia"],
      ["of GPUs of an unknown kind", { ...SPEC, gpus: ["0000:c1:00.0"] }, "0123456789ab-gpu"],
    ] as const)("names those %s apart, too", (_, spec, folder) => {
      expect(envOf(createBody(spec, CACHING, FOUND))["VLLM_CACHE_ROOT"]).toBe(`/root/.cache/aim-engine/${folder}/vllm`);
    });

    it("takes a folder of the host as well", () => {
      const body = createBody(SPEC, { ...CONTEXT, cache: "/srv/cache" }, FOUND);
      expect(body.HostConfig?.Mounts).toMatchObject([{ Type: "bind", Source: "/srv/cache", Target: "/root/.cache" }]);
    });

    it("yields to what the recipe sets", () => {
      const body = createBody({ ...SPEC, env: { HF_HOME: "/models" } }, CACHING, FOUND);
      expect(body.Env?.filter((entry) => entry.startsWith("HF_HOME="))).toEqual(["HF_HOME=/models"]);
    });

    it.each([
      [{ binds: ["/mnt/cache:/root/.cache"] }, []],
      [{}, [{ source: "mine", target: "/root/.cache/", readOnly: false }]],
    ])("is what %j and %j mount there already", (context, mounts) => {
      const body = createBody({ ...SPEC, mounts }, { ...CACHING, ...context }, FOUND);
      expect(body.HostConfig?.Mounts ?? []).toHaveLength(mounts.length);
      expect(envOf(body)).toHaveProperty("VLLM_CACHE_ROOT");
    });

    it("are left to the image when they are off", () => {
      const body = createBody(SPEC, CONTEXT, FOUND);
      expect(body.HostConfig).not.toHaveProperty("Mounts");
      expect(envOf(body)).not.toHaveProperty("HF_HOME");
    });
  });

  it("refuses a spec that no container can be made of", () => {
    const { image: _image, ...noImage } = SPEC;
    expect(() => imageOf(noImage)).toThrow("names no image");
    expect(() => createBody(noImage, CONTEXT, FOUND)).toThrow("names no image");
    expect(() => createBody({ ...SPEC, argv: [] }, CONTEXT, FOUND)).toThrow("has no command");
  });

  it("never makes a container privileged, shares no namespace of the host's but its network, and gives no folder of devices", () => {
    fc.assert(
      fc.property(specs, contexts, fc.constantFrom("auto", "devices", "cdi"), (spec, context, setting) => {
        const found = {
          ...FOUND,
          access: accessFor(spec, setting),
          ...(spec.network === "host" ? { hostPort: 18_000 } : {}),
        };
        const { HostConfig = {} } = createBody(spec, context, found);
        for (const right of [
          "Privileged",
          "PidMode",
          "IpcMode",
          "UTSMode",
          "UsernsMode",
          "CgroupnsMode",
          "DeviceCgroupRules",
        ])
          expect(HostConfig).not.toHaveProperty(right);
        const devices: { PathOnHost: string }[] = HostConfig.Devices ?? [];
        const allowed = ["/dev/kfd", ...spec.gpus.map((_, index) => `/dev/dri/renderD${128 + index}`)];
        expect(devices.map(({ PathOnHost }) => PathOnHost).every((path) => allowed.includes(path))).toBe(true);
        expect(devices).toHaveLength(spec.gpus.length === 0 || setting === "cdi" ? 0 : spec.gpus.length + 1);
        expect(HostConfig.CapAdd ?? []).toEqual(spec.capabilities);
        expect((HostConfig.Mounts ?? []).map(({ Source }) => Source)).not.toContain("/dev/dri");
        if (spec.network === "own") expect(HostConfig.NetworkMode).toBe(context.network);
      }),
    );
  });
});

const specs: fc.Arbitrary<LaunchSpec> = fc.record({
  replica: fc.constant("qwen3-32b-1"),
  runtime: fc.constant("docker"),
  image: fc.string({ minLength: 1 }),
  argv: fc.array(fc.string(), { minLength: 1 }),
  env: fc.dictionary(fc.string(), fc.string()),
  gpus: fc.uniqueArray(fc.string({ minLength: 1 }), { maxLength: 8 }),
  pull: fc.constantFrom("missing", "always", "never"),
  mounts: fc.array(
    fc.record({ source: fc.constantFrom("/srv", "volume"), target: fc.string(), readOnly: fc.boolean() }),
  ),
  capabilities: fc.uniqueArray(fc.constantFrom("SYS_PTRACE", "NET_ADMIN")),
  network: fc.constantFrom("own", "host"),
  resources: fc.record({ memoryBytes: fc.nat(), shmBytes: fc.nat(), cpus: fc.nat() }, { requiredKeys: [] }),
  labels: fc.dictionary(fc.string(), fc.string()),
  readiness: fc.constant(SPEC.readiness),
  stopGraceMs: fc.nat(),
});

const contexts: fc.Arbitrary<CreateContext> = fc.record({
  installation: fc.constant("here"),
  network: fc.constantFrom("bridge", "aim"),
  publish: fc.boolean(),
  cache: fc.constantFrom("none", "volume", "/srv/cache"),
  binds: fc.subarray(["models:/models"]),
  gpuHost: fc.constant("/dev"),
});

function accessFor({ gpus }: LaunchSpec, setting: "auto" | "devices" | "cdi") {
  if (gpus.length === 0) return NO_GPUS;
  const paths = ["/dev/kfd", ...gpus.map((_, index) => `/dev/dri/renderD${128 + index}`)];
  const facts = {
    vendor: "amd",
    cdiNames: gpus.map((_, index) => `amd.com/gpu=${index}`),
    nodes: paths.map((path) => ({ onHost: path, inContainer: path })),
    groups: [44],
  } as const;
  return gpuAccess(setting, facts, { nvidiaCdi: false });
}
