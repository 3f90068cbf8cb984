// What a recipe says about idle replicas: sleep, unloading, pins, and which of it cannot be meant.
import { describe, expect, it } from "vitest";
import { parseRecipeFile } from "../../src/catalog/recipe-file.ts";
import { problemsOf, recipeOf } from "./read.ts";

const GIB = 2 ** 30;
const HEAD = "model: acme/tiny\nengine: vllm\nprofiles: { 1_gpu: {} }\n";
const SLEEP = "{ after: 5m, do: sleep }";
const STOP = "{ after: 1h, do: stop }";

describe("a ladder of idleness", () => {
  it("sleeps first and stops later", () => {
    expect(recipeOf(`${HEAD}idle: [{ after: 5m, do: sleep, level: 2 }, ${STOP}]`)).toMatchObject({
      sleep: { afterMs: 300_000, level: 2 },
      keepAliveMs: 3_600_000,
    });
  });

  it("sleeps at level 1 unless it says otherwise, and may say what that takes of the host's memory", () => {
    expect(recipeOf(`${HEAD}idle: [${SLEEP}]`).sleep).toEqual({ afterMs: 300_000, level: 1 });
    expect(recipeOf(`${HEAD}idle: [${SLEEP}]\nsleepMemory: 70g`).sleep).toMatchObject({ hostMemoryBytes: 70 * GIB });
  });

  it("never unloads without a stop", () => {
    expect(recipeOf(`${HEAD}idle: [${SLEEP}]`).keepAliveMs).toBe(Infinity);
  });

  it("may be a stop alone, which is a keep-alive", () => {
    const recipe = recipeOf(`${HEAD}idle: [${STOP}]`);
    expect(recipe.keepAliveMs).toBe(3_600_000);
    expect(recipe).not.toHaveProperty("sleep");
  });

  it("may begin at once", () => {
    expect(recipeOf(`${HEAD}idle: [{ after: 0s, do: sleep }]`).sleep?.afterMs).toBe(0);
  });

  it("is one for the simulation, too", () => {
    expect(recipeOf("model: m\nengine: sim\nidle: [{ after: 2s, do: sleep }]\nprofiles: { 0_gpu: {} }").sleep).toEqual({
      afterMs: 2_000,
      level: 1,
    });
  });
});

describe("a ladder that cannot be meant is refused at its place", () => {
  it.each([
    ["beside a keep-alive", `keepAlive: 5m\nidle: [${STOP}]`, '4:1: keepAlive: "idle" says when', 'drop "keepAlive"'],
    ["beside a ttl", `ttl: 5m\nidle: [${STOP}]`, '4:1: ttl: "idle" says when', 'drop "ttl"'],
    ["without a step", "idle: []", "4:7: idle: expected at least one step"],
    ["that is no list", "idle: 5m", "4:7: idle: expected a list of steps"],
    ["with a step that is no map", "idle: [5m]", '4:8: idle.0: expected a step such as "{ after: 5m, do: sleep }"'],
    ["with a step of another name", "idle: [{ after: 5m, do: slep }]", "4:25: idle.0.do: ", 'did you mean "sleep"?'],
    ["with a step that does nothing", "idle: [{ after: 5m }]", "idle.0.do: missing; expected one of sleep, stop"],
    ["with a step at no time", "idle: [{ do: stop }]", "idle.0.after: missing; expected a time that ends"],
    [
      "with a key of another name",
      "idle: [{ aftr: 5m, after: 5m, do: stop }]",
      '4:10: idle.0.aftr: unknown key; did you mean "after"?',
    ],
    [
      "with a step that never comes",
      "idle: [{ after: forever, do: stop }]",
      "4:17: idle.0.after: expected a time that ends",
    ],
    [
      "with two sleeps",
      `idle: [${SLEEP}, { after: 6m, do: sleep }]`,
      "4:51: idle.1.do: ",
      'does "sleep" is there already',
    ],
    ["with two stops", `idle: [${STOP}, { after: 2h, do: stop }]`, "4:50: idle.1.do: ", 'does "stop" is there already'],
    [
      "that sleeps after its stop",
      `idle: [{ after: 1m, do: stop }, ${SLEEP}]`,
      "4:50: idle.1.do: nothing is left to sleep",
    ],
    [
      "that stops before its sleep is due",
      `idle: [${SLEEP}, { after: 4m, do: stop }]`,
      "4:43: idle.1.after: expected more than the 5m of the step before",
    ],
    [
      "that stops when it sleeps",
      `idle: [${SLEEP}, { after: 5m, do: stop }]`,
      "4:43: idle.1.after: expected more than",
    ],
    ["with a third level", "idle: [{ after: 5m, do: sleep, level: 3 }]", "4:39: idle.0.level: expected one of 1, 2"],
    [
      "with a stop of some level",
      "idle: [{ after: 1h, do: stop, level: 1 }]",
      '4:31: idle.0.level: only a step with "do: sleep"',
    ],
    [
      "for an engine switched to no sleep",
      `idle: [${SLEEP}]\nargs: { --enable-sleep-mode: false }`,
      "profiles.1_gpu.args: the flags switch sleep off",
    ],
    [
      "for an engine told not to sleep",
      `idle: [${SLEEP}]\nargs: { --no-enable-sleep-mode: true }`,
      "profiles.1_gpu.args: the flags switch sleep off",
    ],
    [
      "for an engine without the routes",
      `idle: [${SLEEP}]\nenv: { VLLM_SERVER_DEV_MODE: 0 }`,
      "profiles.1_gpu.args: VLLM_SERVER_DEV_MODE has to be 1",
    ],
    ["memory for no sleeper", `sleepMemory: 70g`, "4:1: sleepMemory: only a sleeper of level 1"],
    [
      "memory for a sleeper of level 2",
      `idle: [{ after: 5m, do: sleep, level: 2 }]\nsleepMemory: 70g`,
      "5:1: sleepMemory: only a sleeper of level 1",
    ],
    [
      "memory beyond the replica's own",
      `idle: [${SLEEP}]\nsleepMemory: 70g\nresources: { memory: 64g }`,
      "5:14: sleepMemory: a sleeper's memory is part of resources.memory",
    ],
    ["memory that is no size", `idle: [${SLEEP}]\nsleepMemory: much`, "5:14: sleepMemory: expected a size"],
  ])("%s", (_, lines, ...expected) => {
    const problems = problemsOf(HEAD + lines);
    expect(problems).toHaveLength(1);
    for (const text of expected) expect(problems[0]).toContain(text);
  });

  it.each(["sglang", "llama.cpp"])("with a sleep for %s", (engine) => {
    const text = `model: m\nengine: ${engine}\nidle: [${SLEEP}]\nprofiles: { 1_gpu: {} }`;
    expect(problemsOf(text)).toEqual([
      `recipes/test.yaml:3:25: idle.0.do: the engine "${engine}" cannot be put to sleep; vllm and sim can, others can only stop`,
    ]);
  });

  it("where the routes for it would be open to everybody", () => {
    const bytes = new TextEncoder().encode(`${HEAD}network: host\nidle: [${SLEEP}]`);
    const policy = { mounts: [], capabilities: [], hostNetwork: true };
    const [problem, ...others] = parseRecipeFile("test.yaml", bytes, policy).problems;
    expect(problem?.message).toMatch(/^test\.yaml:4:10: network: to be put to sleep, an engine opens routes .*drop/);
    expect(others).toEqual([]);
  });
});

describe("pins and preloading", () => {
  it("are off unless a recipe says so", () => {
    const off = recipeOf(`${HEAD}pin: false\npreload: false`);
    for (const recipe of [recipeOf(HEAD), off])
      for (const key of ["pinned", "preload"]) expect(recipe).not.toHaveProperty(key);
    expect(recipeOf(`${HEAD}pin: true\npreload: true`)).toMatchObject({ pinned: true, preload: true });
  });

  it("a pinned replica may sleep, since that does not unload it", () => {
    expect(recipeOf(`${HEAD}pin: true\nidle: [${SLEEP}]`)).toMatchObject({ pinned: true, keepAliveMs: Infinity });
  });

  it.each([
    ["keepAlive: 5m", '5:12: keepAlive: "pin" keeps a replica however long it is idle; drop "keepAlive"'],
    ["ttl: forever", '5:6: ttl: "pin" keeps a replica however long it is idle; drop "ttl"'],
    [`idle: [${STOP}]`, '5:8: idle.0: "pin" keeps a replica however long it is idle; drop the step with "do: stop"'],
    ["preload: always", "5:10: preload: expected true or false"],
  ])("%s is refused beside a pin", (line, expected) => {
    expect(problemsOf(`${HEAD}pin: true\n${line}`)).toEqual([`recipes/test.yaml:${expected}`]);
  });
});
