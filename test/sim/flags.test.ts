import { describe, expect, it } from "vitest";
import { readServeOptions } from "../../src/sim/flags.ts";

function read(...flags: string[]) {
  return readServeOptions(["serve", "org/model", ...flags], {});
}

describe("readServeOptions", () => {
  it("has vLLM's defaults", () => {
    expect(read()).toMatchObject({
      model: "org/model",
      names: ["org/model"],
      host: undefined,
      port: 8000,
      apiKeys: [],
      maxSequences: 256,
      blockSize: 16,
      prefixCaching: true,
      sleepMode: false,
      keepAliveSeconds: 5,
      accessLog: true,
      ignored: [],
    });
  });

  it("takes several served names, the first being its own", () => {
    expect(read("--served-model-name", "a", "b").names).toEqual(["a", "b"]);
  });

  it("takes the model by flag where there is none after serve", () => {
    expect(readServeOptions(["serve", "--model", "m"], {}).model).toBe("m");
  });

  it.each([
    ["8192", 8192],
    ["8k", 8000],
    ["8K", 8192],
    ["auto", undefined],
    ["-1", undefined],
  ])("reads --max-model-len %s", (text, tokens) => {
    expect(read("--max-model-len", text).maxModelLength).toBe(tokens);
  });

  it("joins keys of the command line and of the environment", () => {
    expect(readServeOptions(["serve", "m", "--api-key", "a"], { VLLM_API_KEY: "b" }).apiKeys).toEqual(["a", "b"]);
  });

  it("has no key when the variable is empty", () => {
    expect(readServeOptions(["serve", "m"], { VLLM_API_KEY: "" }).apiKeys).toEqual([]);
  });

  it("reads uvicorn's keep-alive from the environment", () => {
    const options = readServeOptions(["serve", "m"], { VLLM_HTTP_TIMEOUT_KEEP_ALIVE: "120" });
    expect(options.keepAliveSeconds).toBe(120);
  });

  it("silences the access log alone, or with the requests", () => {
    expect(read("--disable-uvicorn-access-log")).toMatchObject({ accessLog: false, logRequests: true });
    expect(read("--disable-log-requests")).toMatchObject({ accessLog: false, logRequests: false });
  });

  it("notes flags it does not know", () => {
    expect(read("--from-the-future", "x", "-O3").ignored).toEqual(["--from-the-future x", "-O3"]);
  });

  it.each([
    [["--port", "abc"], "argument --port: invalid int value: 'abc'"],
    [["--port", "99999"], "argument --port: must be 0-65535: '99999'"],
    [["-tp", "0"], "argument --tensor-parallel-size: must be 1 or more: '0'"],
    [["--gpu-memory-utilization", "x"], "argument --gpu-memory-utilization: invalid float value: 'x'"],
    [["--gpu-memory-utilization", "1.5"], "argument --gpu-memory-utilization: must be in (0, 1]: '1.5'"],
    [["--dtype", "int3"], "argument --dtype: invalid choice: 'int3' (choose from auto, half"],
    [["--max-model-len", "long"], "argument --max-model-len: invalid human_readable_int_or_auto value: 'long'"],
    [["--max-model-len", "0"], "argument --max-model-len: invalid human_readable_int_or_auto value: '0'"],
    [["another-model"], "unrecognized arguments: another-model"],
    [["--sim-no-such-knob", "1"], "unrecognized arguments: --sim-no-such-knob 1; see --sim-help"],
  ])("refuses %j", (flags, message) => {
    expect(() => read(...flags)).toThrow(message);
  });

  it("needs a model and the command", () => {
    expect(() => readServeOptions(["serve"], {})).toThrow("the following arguments are required: model_tag");
    expect(() => readServeOptions(["bench"], {})).toThrow("invalid choice: 'bench'");
  });
});
