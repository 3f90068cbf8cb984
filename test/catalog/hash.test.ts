// The fingerprint of a recipe: what makes another replica, and what does not.
import { describe, expect, it } from "vitest";
import { recipeOf } from "./read.ts";

const minimal = "model: acme/tiny\nengine: vllm\nprofiles:\n  1_gpu: {}\n";

describe("the hash", () => {
  const policy = { mounts: ["vol1"], capabilities: ["SYS_PTRACE"], hostNetwork: true };
  const hash = (text: string, file?: string) => recipeOf(text, { file, policy }).hash;

  it("is the same for the same replica, however the file is written", () => {
    const one = hash("model: m\nengine: vllm\nenv: { A: 1, B: 2 }\nprofiles: { 1_gpu: {}, 2_gpu: {} }", "a.yaml");
    const other = hash(
      "profiles: { 2_gpu: {}, 1_gpu: { env: { B: 2, A: 1 } } }\nenv: { B: 2, A: 1 }\nengine: vllm\nmodel: m",
      "b.yaml",
    );
    expect(other).toBe(one);
  });

  it.each([
    "keepAlive: 9m",
    "idle: [{ after: 9m, do: stop }]",
    "preload: true",
    "pin: true",
    "replicas: { max: 4, target: 8 }",
    "replicas: { max: 4 }",
    "aliases: [x]",
    "startTimeout: 1h",
    "maxInFlight: 3",
    "balance: round-robin",
    "timeouts: { idle: 1m }",
    "hardware: MI300X",
    "gpuMemory: 64g",
    "pull: always",
    "mounts: []",
    "network: own",
  ])("does not change with %s", (line) => expect(hash(`${minimal}${line}`)).toBe(hash(minimal)));

  it.each([
    "image: a:b",
    "args: { --a: 1 }",
    "env: { A: 1 }",
    "precision: bf16",
    "runtime: docker",
    "resources: { shm: 1g }",
    "command: [x]",
    "mounts: [vol1:/a]",
    "capabilities: [SYS_PTRACE]",
    "network: host",
    "idle: [{ after: 9m, do: sleep }]",
  ])("changes with %s", (line) => expect(hash(`${minimal}${line}`)).not.toBe(hash(minimal)));

  it("changes with a share of the GPUs", () => {
    const shared = (share: string) => hash(minimal.replace("{}", `{ gpuFraction: ${share} }`));
    expect(new Set([hash(minimal), shared("0.4"), shared("0.5")]).size).toBe(3);
  });

  it("does not change with when or how deeply it sleeps", () => {
    const sleepy = (step: string) => hash(`${minimal}idle: [${step}]`);
    expect(sleepy("{ after: 9m, do: sleep }")).toBe(sleepy("{ after: 1h, do: sleep, level: 2 }"));
  });

  it("stays as it was in earlier versions, lest an upgrade restart every replica", () => {
    expect(hash(minimal)).toBe("04c345c98558673c9d6b7708ee032042");
  });
});
