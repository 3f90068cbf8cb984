import { describe, expect, it } from "vitest";
import { LABELS, type LaunchSpec } from "../../../src/catalog/launch-spec.ts";
import { createBody, NO_DEVICES } from "../../../src/runtime/docker/create.ts";

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
const CONTEXT = { installation: "here", network: "bridge", publish: false, binds: [] };
const GPU_ACCESS = {
  nodes: [
    { onHost: "/dev/kfd", inContainer: "/dev/kfd" },
    { onHost: "/dev/dri/renderD130", inContainer: "/dev/dri/renderD130" },
  ],
  groups: [44, 109],
};

describe("createBody", () => {
  it("overrules the image's entrypoint, without a shell, and says where to listen", () => {
    const body = createBody(SPEC, CONTEXT, NO_DEVICES);
    expect(body.Entrypoint).toEqual(["vllm", "serve"]);
    expect(body.Cmd).toEqual(["Qwen/Qwen3-32B", "--host", "0.0.0.0", "--port", "8000", "--note", "a  b"]);
    expect(body.Env).toEqual(["HF_TOKEN=hf_secret", "SELF=http://0.0.0.0:8000"]);
  });

  it("takes only the program of another engine as the entrypoint", () => {
    const body = createBody({ ...SPEC, argv: ["python3", "-m", "sglang.launch_server"] }, CONTEXT, NO_DEVICES);
    expect(body.Entrypoint).toEqual(["python3"]);
    expect(body.Cmd).toEqual(["-m", "sglang.launch_server"]);
  });

  it("marks the container as this installation's, whatever the spec says", () => {
    const { Labels } = createBody(SPEC, CONTEXT, NO_DEVICES);
    expect(Labels).toEqual({ [LABELS.replica]: "qwen3-32b-1", [LABELS.installation]: "here" });
  });

  it("leaves restarts, health and the end of life to the gateway", () => {
    const body = createBody(SPEC, CONTEXT, NO_DEVICES);
    expect(body).toMatchObject({ Healthcheck: { Test: ["NONE"] }, StopTimeout: 46 });
    expect(body.HostConfig).toMatchObject({
      Init: true,
      RestartPolicy: { Name: "no" },
      LogConfig: { Type: "json-file", Config: { "max-size": "100m", "max-file": "3" } },
      NetworkMode: "bridge",
    });
  });

  it("asks for no more rights than it needs without GPUs", () => {
    const { HostConfig = {}, ...body } = createBody(SPEC, CONTEXT, NO_DEVICES);
    expect(Object.keys(HostConfig).sort()).toEqual(["Init", "LogConfig", "NetworkMode", "RestartPolicy"]);
    expect(body).not.toHaveProperty("ExposedPorts");
  });

  it("gives exactly the replica's device nodes, their groups by number, and room to map memory", () => {
    const { HostConfig = {} } = createBody({ ...SPEC, gpus: ["0000:c1:00.0"] }, CONTEXT, GPU_ACCESS);
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
    expect(createBody({ ...SPEC, resources }, CONTEXT, NO_DEVICES).HostConfig).toMatchObject({
      Memory: 1e9,
      MemorySwap: 2e9,
      ShmSize: 3e9,
      NanoCpus: 1_500_000_000,
    });
  });

  it("publishes on the loopback only, at a port that Docker picks, where asked to", () => {
    const body = createBody(SPEC, { ...CONTEXT, publish: true }, NO_DEVICES);
    expect(body.ExposedPorts).toEqual({ "8000/tcp": {} });
    expect(body.HostConfig?.PortBindings).toEqual({ "8000/tcp": [{ HostIp: "127.0.0.1", HostPort: "0" }] });
  });

  it("mounts what all replicas share", () => {
    const body = createBody(SPEC, { ...CONTEXT, binds: ["aim-cache:/root/.cache"] }, NO_DEVICES);
    expect(body.HostConfig?.Binds).toEqual(["aim-cache:/root/.cache"]);
  });

  it("refuses a spec that no container can be made of", () => {
    const { image: _image, ...noImage } = SPEC;
    expect(() => createBody(noImage, CONTEXT, NO_DEVICES)).toThrow("names no image");
    expect(() => createBody({ ...SPEC, argv: [] }, CONTEXT, NO_DEVICES)).toThrow("has no command");
  });
});
