// What recipes may ask for: everything the policy does not allow is refused by name, with the key that would allow it.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadCatalog } from "../../src/catalog/catalog.ts";
import { checkPolicy, STRICT_POLICY, type Policy } from "../../src/catalog/policy.ts";
import { parseRecipeFile } from "../../src/catalog/recipe-file.ts";
import type { Mount, Recipe } from "../../src/catalog/recipe.ts";
import { recipeOf } from "./read.ts";

const plain = recipeOf("id: x\nmodel: acme/x\nengine: vllm\nprofiles: { 1_gpu: {} }");

function messages(asks: Partial<Recipe>, policy: Partial<Policy> = {}): string[] {
  return checkPolicy({ ...plain, ...asks }, { ...STRICT_POLICY, ...policy }).map(({ message }) => message);
}

function mount(source: string, mode: "ro" | "rw" = "rw"): Pick<Recipe, "mounts"> {
  const one: Mount = { source, target: "/m", readOnly: mode === "ro" };
  return { mounts: [one] };
}

describe("a recipe that asks for nothing out of the ordinary", () => {
  it("is allowed by the strictest policy", () => {
    expect(messages({})).toEqual([]);
  });
});

describe("a local process", () => {
  it.each<[string, Partial<Recipe>, boolean]>([
    ["the bundled simulation", { engine: "sim" }, true],
    ["a command in its place", { engine: "sim", command: ["bash", "-c", "id"] }, false],
    ["an engine of this machine", { engine: "vllm" }, false],
    ["any program", { engine: "openai", command: ["bash", "-c", "id"] }, false],
  ])("that is %s needs leave, unless it is our own program", (_, asks, expected) => {
    const recipe = { ...asks, runtime: "process" } as const;
    const refusal = "recipe x runs a program of this machine; allow it with policy.processes: true in config.yaml";
    expect(messages(recipe)).toEqual(expected ? [] : [refusal]);
    expect(messages(recipe, { processes: true })).toEqual([]);
  });

  it("is no matter of policy where a recipe runs in containers", () => {
    expect(messages({ runtime: "docker", command: ["bash", "-c", "id"] })).toEqual([]);
  });
});

describe("mounts", () => {
  it.each<[string, readonly string[], "ro" | "rw", boolean]>([
    ["/srv/models", [], "rw", false],
    ["/srv/models", ["/srv/models"], "rw", true],
    ["/srv/models/qwen", ["/srv/models"], "rw", true],
    ["/srv/models/qwen", ["/srv/models/"], "rw", true],
    ["/srv/models/qwen", ["/srv/./models//"], "rw", true],
    ["/srv/models2", ["/srv/models"], "rw", false],
    ["/srv", ["/srv/models"], "rw", false],
    ["/srv/models/../etc", ["/srv/models"], "rw", false],
    ["/srv/models/..", ["/srv/models"], "ro", false],
    ["/etc", ["/"], "rw", true],
    ["/srv/models", ["/srv/models:ro"], "rw", false],
    ["/srv/models", ["/srv/models:ro"], "ro", true],
    ["/srv/models", ["/srv/models"], "ro", true],
    ["/srv/models/b", ["/srv/models:ro", "/srv/models/b"], "rw", true],
    ["weights", ["weights"], "rw", true],
    ["weights2", ["weights"], "rw", false],
    ["weights", ["weights:ro"], "rw", false],
    ["weights", ["weights:ro"], "ro", true],
    ["weights", ["/"], "rw", false],
    ["/weights", ["weights"], "rw", false],
    ["weights", ["/weights"], "rw", false],
  ])("of %s are, with policy.mounts %j and %s, allowed: %s", (source, mounts, mode, expected) => {
    expect(messages(mount(source, mode), { mounts }).length === 0).toBe(expected);
  });

  it.each(["/srv", "/srv/run", "/srv/run/docker.sock"])("of %s never give Docker's socket away", (source) => {
    for (const dockerSocket of [
      "/srv/run/docker.sock",
      "unix:///srv/run/docker.sock",
      "UNIX:///srv/./run//docker.sock",
    ]) {
      const policy = { mounts: ["/"], dockerSocket };
      expect(messages(mount(source), policy)).toEqual([expect.stringContaining("Docker's socket")]);
      expect(messages(mount("/srv/models"), policy)).toEqual([]);
    }
  });

  it("that are refused say what would allow them", () => {
    expect(messages(mount("/srv/models"))).toEqual([
      "recipe x mounts /srv/models; allow it with policy.mounts: [/srv/models] in config.yaml",
    ]);
    expect(messages(mount("/srv/models"), { mounts: ["/srv/models:ro"] })).toEqual([
      'recipe x mounts /srv/models to write, and may only read it: write "/srv/models:/m:ro"; allow it with policy.mounts: [/srv/models] in config.yaml',
    ]);
  });
});

describe("capabilities and the host's network", () => {
  it("are allowed by name", () => {
    const asks = { capabilities: ["SYS_PTRACE", "IPC_LOCK"], network: "host" } as const;
    expect(messages(asks, { capabilities: ["IPC_LOCK"] })).toEqual([
      "recipe x asks for the capability SYS_PTRACE; allow it with policy.capabilities: [SYS_PTRACE] in config.yaml",
      "recipe x uses the host's network; allow it with policy.hostNetwork: true in config.yaml",
    ]);
    expect(messages(asks, { capabilities: ["IPC_LOCK", "SYS_PTRACE"], hostNetwork: true })).toEqual([]);
  });
});

describe("registries", () => {
  const ID = `sha256:${"a".repeat(64)}`;
  it.each<[string, readonly string[], string | undefined, boolean]>([
    ["rocm/vllm:x", ["rocm/"], undefined, true],
    ["rocm/vllm:x", ["rocm"], undefined, true],
    ["rocm/vllm:x", ["rocm/vllm"], undefined, true],
    ["rocm/vllm:x", ["docker.io/rocm/"], undefined, true],
    ["docker.io/rocm/vllm", ["rocm/"], undefined, true],
    ["rocm/vllm-dev", ["rocm/vllm"], undefined, false],
    ["rocm-evil/vllm", ["rocm"], undefined, false],
    ["ubuntu", ["docker.io/library/"], undefined, true],
    ["ubuntu", ["docker.io/"], undefined, true],
    ["ubuntu", ["ubuntu"], undefined, true],
    ["ghcr.io/rocm/vllm", ["rocm/"], undefined, false],
    ["registry.example:5000/x", ["registry.example:5000/"], undefined, true],
    ["registry.example:5000/x", ["registry.example"], undefined, false],
    ["registry.example.evil/x", ["registry.example"], undefined, false],
    ["rocm/vllm", ["rocm/"], "r.example", true],
    ["rocm/vllm", ["r.example/"], "r.example", true],
    ["rocm/vllm", ["docker.io/"], "r.example", false],
    ["rocm/vllm", [], undefined, false],
    [ID, ["rocm/"], undefined, false],
  ])("%s may come from %j (registry %s): %s", (image, registries, registry, expected) => {
    expect(messages({ image }, { registries, registry }).length === 0).toBe(expected);
  });

  it("may be any where none are listed", () => {
    expect(messages({ image: "anywhere.example/x" })).toEqual([]);
    expect(messages({ image: ID })).toEqual([]);
  });

  it("that are refused say what would allow them", () => {
    expect(messages({ image: "ghcr.io/acme/server:1" }, { registries: ["rocm/"] })).toEqual([
      "recipe x runs an image of ghcr.io/acme/; allow it with policy.registries: [ghcr.io/acme/] in config.yaml",
    ]);
    expect(messages({ image: ID }, { registries: ["rocm/"] })[0]).toContain("which names no registry");
  });
});

describe("a file", () => {
  const text =
    "model: acme/x\nengine: vllm\nmounts:\n  - weights:/w\n  - /srv/models:/models:ro\nprofiles: { 1_gpu: {} }\n";

  it("is told where it asks for too much", () => {
    const { recipes, problems } = parseRecipeFile("x.yaml", new TextEncoder().encode(text), {
      ...STRICT_POLICY,
      mounts: ["weights"],
    });
    expect(recipes).toEqual([]);
    expect(problems.map(({ message }) => message)).toEqual([
      "x.yaml:5:5: mounts.1: recipe x mounts /srv/models; allow it with policy.mounts: [/srv/models] in config.yaml",
    ]);
  });

  it("of a folder is held to the policy, and to the strictest where none is given", async () => {
    const folder = await mkdtemp(join(tmpdir(), "aim-policy-"));
    await writeFile(join(folder, "x.yaml"), text);
    expect((await loadCatalog([folder])).problems).toHaveLength(2);
    const policy = { ...STRICT_POLICY, mounts: ["weights", "/srv"] };
    expect((await loadCatalog([folder], { policy })).recipe("x")?.mounts).toEqual([
      { source: "weights", target: "/w", readOnly: false },
      { source: "/srv/models", target: "/models", readOnly: true },
    ]);
    await rm(folder, { recursive: true });
  });

  it("in the existing AIM format has no way to ask", () => {
    const aim =
      "recipe_id: r\nmodel_id: m\nhuggingface_id: acme/m\nhardware: MI300X\nprecision: bf16\nvllm_serve: { 1_gpu: {} }\n";
    const { problems } = parseRecipeFile("x.yaml", new TextEncoder().encode(`${aim}mounts: [/:/host]\n`));
    expect(problems[0]?.message).toContain("mounts: unknown key");
  });
});
