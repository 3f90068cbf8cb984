import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { examineMachine } from "../src/compose-doctor.ts";
import { loadConfig, type Environment } from "../src/config.ts";
import type { Check } from "../src/runtime/driver.ts";
import { makeFiles, type FileTree } from "./support/proc-tree.ts";

const LOCAL = "model: test/local\nengine: sim\nruntime: process\nprofiles: { 0_gpu: {} }\n";
const ON_DOCKER = "model: test/remote\nengine: vllm\nprofiles: { 4_gpu: {} }\nresources: { memory: 900t }\n";

describe("the examination without a gateway", () => {
  const trees: FileTree[] = [];
  afterEach(() => Promise.all(trees.splice(0).map((tree) => tree.remove())));

  async function examine(
    recipes: Readonly<Record<string, string>>,
    config = "",
    env: Environment = {},
  ): Promise<readonly Check[]> {
    const files = Object.fromEntries(Object.entries(recipes).map(([name, text]) => [`recipes/${name}.yaml`, text]));
    const tree = await makeFiles({ "engine.conf": config, ...files });
    trees.push(tree);
    return examineMachine(await loadConfig(join(tree.root, "engine.conf"), env));
  }

  const named = (checks: readonly Check[], name: string) => checks.find((check) => check.name === name);

  it("leaves Docker alone where nothing runs on it", async () => {
    const checks = await examine({ local: LOCAL });
    expect(checks.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["node", "open files", "state folder", "log folder", "memory", "access", "recipes"]),
    );
    expect(named(checks, "docker")).toBeUndefined();
  });

  it("finds that Docker is missing where a recipe needs it", async () => {
    const checks = await examine({ remote: ON_DOCKER }, "docker: { socket: /nowhere/docker.sock }\n");
    expect(named(checks, "docker")).toMatchObject({ status: "problem", fix: expect.stringContaining("start Docker") });
  });

  it("reports each recipe that cannot be used, with its place", async () => {
    const checks = await examine({ local: LOCAL, broken: "model: x\n" });
    expect(named(checks, "recipes")?.found).toBe("1, for 1 model");
    expect(named(checks, "recipe")).toMatchObject({
      status: "problem",
      found: expect.stringMatching(/broken\.yaml:1:1/),
    });
  });

  it.each([
    ["", 0],
    ["policy: { processes: true }\n", 1],
    ["runtime: process\n", 1],
  ])("takes a recipe that runs a program of this machine only by leave: %j", async (config, taken) => {
    const program = "model: x\nengine: openai\nruntime: process\ncommand: [serve, '{port}']\nprofiles: { 0_gpu: {} }\n";
    const checks = await examine({ program }, config);
    expect(checks.filter(({ name }) => name === "recipes")).toHaveLength(taken);
    expect(checks.filter(({ name }) => name === "recipe")).toHaveLength(1 - taken);
  });

  it("goes on where there is no folder of recipes", async () => {
    const checks = await examine({}, "recipes: nowhere\n");
    expect(named(checks, "recipes")).toMatchObject({ status: "problem", found: expect.stringContaining("nowhere") });
    expect(named(checks, "node")?.status).toBe("ok");
  });

  it.each([
    ["level: 1", "sleepMemory: 1g", undefined],
    [
      "level: 1",
      "sleepMemory: 4g",
      "sleepers may take 2 GiB of the host's memory together, and one takes 4 GiB: it never",
    ],
    ["level: 1", "", "one counts with all the memory of its GPUs"],
    ["level: 2", "", undefined],
  ])("warns of sleepers for which the host has no memory: %s %s", async (level, memory, found) => {
    const idle = `idle: [{ after: 1m, do: sleep, ${level} }]\n${memory}\n`;
    const checks = await examine({ one: LOCAL.replace("0_gpu", "1_gpu") + idle }, "scheduler: { sleepMemory: 2g }\n");
    if (found === undefined) expect(named(checks, "sleep")).toBeUndefined();
    else expect(named(checks, "sleep")).toMatchObject({ status: "warning", found: expect.stringContaining(found) });
  });

  it("warns of a recipe that counts on memory this machine lacks", async () => {
    const checks = await examine({ remote: ON_DOCKER }, "docker: { socket: /nowhere/docker.sock }\n");
    expect(named(checks, "memory")).toMatchObject({
      status: "warning",
      found: expect.stringContaining("resources.memory of recipe remote is 900 TiB"),
    });
  });

  it.each([
    ["listen: 127.0.0.1:8000\n", "ok", "127.0.0.1:8000, from this machine only"],
    ['listen: 0.0.0.0:8000\napiKeys: ["${KEY}"]\n', "ok", "0.0.0.0:8000, with a key"],
    [
      "listen: 0.0.0.0:8000\ninsecure: true\n",
      "warning",
      "everyone who reaches 0.0.0.0:8000 may use and stop the models",
    ],
  ])("judges who may call: %j: %s", async (config, status, found) => {
    expect(named(await examine({ local: LOCAL }, config, { KEY: "canary-key" }), "access")).toMatchObject({
      status,
      found,
    });
  });

  it("tells no secret", async () => {
    const config = 'listen: 0.0.0.0:8000\napiKeys: ["${KEY}"]\nenv: { HF_TOKEN: "${KEY}" }\n';
    expect(
      JSON.stringify(await examine({ local: LOCAL, remote: ON_DOCKER }, config, { KEY: "canary-key" })),
    ).not.toContain("canary");
  });
});
