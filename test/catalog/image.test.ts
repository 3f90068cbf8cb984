// Image names: what is a registry and what is not, and where images without one come from.
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatImage, fromRegistry, isImageId, namesOf, parseImage, parseRegistry } from "../../src/catalog/image.ts";

const DIGEST = `sha256:${"0123456789abcdef".repeat(4)}`;

describe("an image name", () => {
  it.each([
    ["ubuntu", { repository: "ubuntu" }],
    ["ubuntu:22.04", { repository: "ubuntu", tag: "22.04" }],
    ["rocm/vllm:rocm7.0_v1", { repository: "rocm/vllm", tag: "rocm7.0_v1" }],
    ["docker.io/rocm/vllm", { registry: "docker.io", repository: "rocm/vllm" }],
    ["localhost/x", { registry: "localhost", repository: "x" }],
    ["localhost:5000/x:1", { registry: "localhost:5000", repository: "x", tag: "1" }],
    ["registry.example:5000/a/b", { registry: "registry.example:5000", repository: "a/b" }],
    ["[::1]:5000/x", { registry: "[::1]:5000", repository: "x" }],
    [`rocm/vllm@${DIGEST}`, { repository: "rocm/vllm", digest: DIGEST }],
    [`ghcr.io/a/b:v1@${DIGEST}`, { registry: "ghcr.io", repository: "a/b", tag: "v1", digest: DIGEST }],
    // Without a slash, what follows the colon is a tag, even if it looks like a port.
    ["registry:5000", { repository: "registry", tag: "5000" }],
    ["a__b/c-d", { repository: "a__b/c-d" }],
  ])("%s is read", (text, expected) => {
    expect(parseImage(text)).toEqual(expected);
    expect(formatImage(expected)).toBe(text);
  });

  it.each([
    "",
    "Rocm/vllm",
    "rocm//vllm",
    "rocm/vllm:",
    "rocm/vllm:a b",
    "rocm/vllm@sha256:short",
    "rocm/vllm@",
    `a@${DIGEST}@${DIGEST}`,
    "https://registry.example/x",
    "registry.example:port/x",
    "-x",
    "a/../b",
    "/x",
    "x/",
    DIGEST,
  ])("is none of %j", (text) => {
    expect(parseImage(text)).toBeUndefined();
  });

  it("is not an id", () => {
    expect([DIGEST, DIGEST.slice(7), "sha256:1", "ubuntu"].map(isImageId)).toEqual([true, true, false, false]);
  });

  it("comes out of any text as it went in, or not at all", () => {
    const pieces = ["a", "9", "A", ".", ":", "/", "@", "-", "_", "localhost", "ghcr.io", DIGEST];
    const text = fc.array(fc.constantFrom(...pieces), { maxLength: 10 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(text, (image) => {
        const name = parseImage(image);
        if (name !== undefined) expect(formatImage(name)).toBe(image);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("a registry", () => {
  it.each([
    ["registry.example", "registry.example"],
    ["registry.example:5000/", "registry.example:5000"],
    ["registry.example/team/mirror", "registry.example/team/mirror"],
    ["localhost:5000", "localhost:5000"],
    // Docker would look for its images on Docker Hub.
    ["acme", undefined],
    ["https://registry.example", undefined],
    ["registry.example/Team", undefined],
    ["registry.example:5000:1", undefined],
    ["", undefined],
  ])("%j is %j", (text, expected) => {
    expect(parseRegistry(text)).toBe(expected);
  });

  it.each([
    ["rocm/vllm:x", "registry.example:5000/rocm/vllm:x"],
    ["ubuntu", "registry.example:5000/ubuntu"],
    [`rocm/vllm@${DIGEST}`, `registry.example:5000/rocm/vllm@${DIGEST}`],
    ["registry:5000", "registry.example:5000/registry:5000"],
    ["docker.io/rocm/vllm", "docker.io/rocm/vllm"],
    ["ghcr.io/x/y:1", "ghcr.io/x/y:1"],
    ["localhost:5000/x", "localhost:5000/x"],
    [DIGEST, DIGEST],
  ])("of the configuration makes %s %s", (image, expected) => {
    expect(fromRegistry(image, "registry.example:5000")).toBe(expected);
    expect(fromRegistry(image, undefined)).toBe(image);
  });
});

describe("the names of an image", () => {
  it.each([
    ["rocm/vllm:x", undefined, ["docker.io/rocm/vllm", "rocm/vllm"]],
    ["ubuntu", undefined, ["docker.io/library/ubuntu", "library/ubuntu", "ubuntu"]],
    ["index.docker.io/rocm/vllm", "r.example", ["docker.io/rocm/vllm", "rocm/vllm"]],
    ["rocm/vllm", "r.example/m", ["r.example/m/rocm/vllm", "rocm/vllm"]],
    ["ghcr.io/rocm/vllm", "r.example", ["ghcr.io/rocm/vllm"]],
    [DIGEST, undefined, []],
  ])("%s with the registry %s are %j", (image, registry, expected) => {
    expect(namesOf(image, registry)).toEqual(expected);
  });
});
