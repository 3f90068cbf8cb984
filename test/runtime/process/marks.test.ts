import { describe, expect, it } from "vitest";
import type { LaunchSpec } from "../../../src/catalog/launch-spec.ts";
import type { Gpu } from "../../../src/runtime/driver.ts";
import { childArgv, childEnv, readMarks } from "../../../src/runtime/process/marks.ts";

const ADDRESS = new URL("http://127.0.0.1:4711");
const LABELS = { "aim-engine.replica": "r-1", "aim-engine.gpus": "" };

function spec(part: Partial<LaunchSpec> = {}): LaunchSpec {
  return {
    replica: "r-1",
    runtime: "process",
    argv: ["engine"],
    env: {},
    gpus: [],
    pull: "missing",
    mounts: [],
    capabilities: [],
    network: "own",
    resources: {},
    labels: LABELS,
    readiness: { servedModel: "m", warmUp: false, timeoutMs: 1000 },
    stopGraceMs: 1000,
    ...part,
  };
}

function gpu(id: string, vendor: Gpu["vendor"]): Gpu {
  return { id, vendor, product: "x", memoryBytes: 1 };
}

function env(part: Partial<LaunchSpec>, gpus: readonly Gpu[] = [], baseEnv = {}) {
  return childEnv(spec(part), { baseEnv, gpus, marks: { labels: LABELS, address: ADDRESS } });
}

describe("childArgv", () => {
  it("fills in host and port wherever they stand, and changes nothing else", () => {
    const argv = ["{host}", "--x={host}:{port}/{port}", "{Port}", '{"port":1}', "$HOME $(x)"];
    expect(childArgv(spec({ argv }), ADDRESS)).toEqual([
      "127.0.0.1",
      "--x=127.0.0.1:4711/4711",
      "{Port}",
      '{"port":1}',
      "$HOME $(x)",
    ]);
  });
});

describe("childEnv", () => {
  it("hands on a fixed few of the gateway's variables and no secret", () => {
    const baseEnv = {
      PATH: "/bin",
      HOME: "/h",
      LANG: "C",
      TMPDIR: "/t",
      TZ: "UTC",
      HF_TOKEN: "s",
      NODE_OPTIONS: "-x",
    };
    const { AIM_ENGINE_LABELS: _, AIM_ENGINE_ADDRESS: __, ...rest } = env({}, [], baseEnv);
    expect(rest).toEqual({ PATH: "/bin", HOME: "/h", LANG: "C", TMPDIR: "/t", TZ: "UTC", SPT_NOENV: "1" });
  });

  it("lets the spec override what is inherited, but not the marks", () => {
    const made = env({ env: { PATH: "/opt", AIM_ENGINE_LABELS: "{}", URL: "{host}:{port}" } }, [], {
      PATH: "/bin",
    });
    expect(made).toMatchObject({ PATH: "/opt", URL: "127.0.0.1:4711" });
    expect(made["AIM_ENGINE_LABELS"]).toBe(JSON.stringify(LABELS));
  });

  const GPUS = [gpu("a", "amd"), gpu("b", "nvidia"), gpu("c", "amd"), gpu("d", "none"), gpu("e", "amd")];

  it.each([
    [[], {}],
    [["d"], {}],
    [["e", "c"], { HIP_VISIBLE_DEVICES: "2,1" }],
    [["b"], { CUDA_VISIBLE_DEVICES: "0", CUDA_DEVICE_ORDER: "PCI_BUS_ID" }],
  ])("shows the engine the GPUs %j, counted within their vendor", (gpus, expected) => {
    const made = Object.entries(env({ gpus }, GPUS));
    expect(Object.fromEntries(made.filter(([name]) => /DEVICE/.test(name)))).toEqual(expected);
  });

  it("refuses a GPU that it does not know", () => {
    expect(() => env({ gpus: ["z"] }, GPUS)).toThrow("GPU z is not among the GPUs configured");
  });
});

describe("readMarks", () => {
  it("reads back what childEnv wrote", () => {
    const made = env({ env: { A: "1" } });
    expect(readMarks(new Map(Object.entries(made)))).toEqual({ labels: LABELS, address: ADDRESS });
  });

  it.each([
    ["no marks", {}],
    ["labels that are not JSON", { AIM_ENGINE_LABELS: "{", AIM_ENGINE_ADDRESS: ADDRESS.href }],
    ["labels of another shape", { AIM_ENGINE_LABELS: '{"a":1}', AIM_ENGINE_ADDRESS: ADDRESS.href }],
    ["labels that are no object", { AIM_ENGINE_LABELS: "null", AIM_ENGINE_ADDRESS: ADDRESS.href }],
    ["no address", { AIM_ENGINE_LABELS: "{}" }],
    ["a bad address", { AIM_ENGINE_LABELS: "{}", AIM_ENGINE_ADDRESS: "127.0.0.1" }],
  ])("takes %s for a process that is not ours", (_, environ) => {
    expect(readMarks(new Map(Object.entries(environ)))).toBeUndefined();
  });
});
