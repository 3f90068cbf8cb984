import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientSettings, loadConfig } from "../src/config.ts";
import { isAimError } from "../src/errors.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "aim-engine-config-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function load(text: string, env: Readonly<Record<string, string>> = {}) {
  const file = join(folder, "config.yaml");
  await writeFile(file, text);
  return loadConfig(file, env);
}

async function messageOf(text: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
  const error = await load(text, env).catch((error: unknown) => error);
  expect(isAimError(error, "invalid_config")).toBe(true);
  return String(error);
}

describe("the configuration", () => {
  it("needs no key at all", async () => {
    const config = await load("");
    expect(config).toMatchObject({
      listen: { host: "127.0.0.1", port: 8000 },
      installation: "aim-engine",
      runtime: "docker",
      keepAlive: 300_000,
      recipes: [join(folder, "recipes")],
      logDir: join(folder, ".aim-engine/logs"),
      images: { vllm: "rocm/vllm:latest" },
      docker: { onExit: "keep" },
      process: { onExit: "stop", gpus: [] },
    });
  });

  it("needs no file either, and then folders are those of the working directory", async () => {
    const config = await loadConfig(undefined, {});
    expect(config.recipes).toEqual([join(process.cwd(), "recipes")]);
    expect(config.file).toBeUndefined();
  });

  it("takes paths from where the file is", async () => {
    const config = await load("recipes: [mine, /opt/theirs]\nstateDir: ../state\n");
    expect(config.recipes).toEqual([join(folder, "mine"), "/opt/theirs"]);
    expect(config.logDir).toBe(join(folder, "../state/logs"));
  });

  it.each([
    ["keepalive: 5m", /config\.yaml:1:1: keepalive: unknown key; did you mean "keepAlive"\?/],
    ["docker:\n  sokcet: /run/docker.sock", /config\.yaml:2:3: docker\.sokcet: unknown key; did you mean "socket"\?/],
    ["process:\n  gpus: [{ id: a, prodcut: MI300X, memory: 192g }]", /did you mean "product"\?/],
    ["keepAlive: 5 minutes", /config\.yaml:1:12: keepAlive: expected a duration such as "30s"/],
    ["maxBody: 5x", /config\.yaml:1:10: maxBody: expected a size such as "512m"/],
    ["listen: 8000", /config\.yaml:1:9: listen: /],
    ["listen: localhost", /expected HOST:PORT/],
    ["runtime: dokcer", /did you mean "docker"\?/],
    ["installation: My Engine", /lower-case/],
    ["keepAlive: [", /config\.yaml:\d+:\d+: /],
  ])("%s is refused with its place and the remedy", async (text, message) => {
    expect(await messageOf(text)).toMatch(message);
  });

  it("reports every fault of a file at once", async () => {
    const message = await messageOf("keepalive: 5m\nruntime: dokcer\nmaxWaiting: 0\n");
    expect(message.split("\n").filter((line) => line.includes("config.yaml:"))).toHaveLength(3);
  });

  it("takes values from the environment, and says which one is missing", async () => {
    const text = 'apiKeys: ["${KEY}"]\nkeepAlive: ${IDLE:-7m}\ninstallation: a$$b\n';
    await expect(load(text.replace("a$$b", "ab"), { KEY: "secret-key" })).resolves.toMatchObject({
      apiKeys: ["secret-key"],
      keepAlive: 420_000,
    });
    const message = await messageOf(text);
    expect(message).toMatch(/config\.yaml:1:1\d: apiKeys\.0: the environment variable KEY is not set/);
    expect(message).toContain("installation");
  });

  it("lets AIM_ENGINE_LISTEN and VLLM_BASE_REGISTRY have the last word over defaults", async () => {
    const env = { AIM_ENGINE_LISTEN: "[::1]:9000", VLLM_BASE_REGISTRY: "registry.example/vllm" };
    await expect(load("listen: 127.0.0.1:1\n", env)).resolves.toMatchObject({
      listen: { host: "::1", port: 9000 },
      images: { vllm: "registry.example/vllm:latest" },
    });
    await expect(load("", { AIM_ENGINE_LISTEN: "everywhere" })).rejects.toThrow("AIM_ENGINE_LISTEN");
  });

  it("is found through AIM_ENGINE_CONFIG, and a missing file is named", async () => {
    const missing = join(folder, "missing.yaml");
    await expect(loadConfig(undefined, { AIM_ENGINE_CONFIG: missing })).rejects.toThrow(missing);
  });

  it("refuses to be open to strangers by accident", async () => {
    expect(await messageOf("listen: 0.0.0.0:8000")).toMatch(/apiKeys/);
    await expect(load("listen: 0.0.0.0:8000\napiKeys: [long-enough]")).resolves.toBeDefined();
    await expect(load("listen: 0.0.0.0:8000\ninsecure: true")).resolves.toBeDefined();
  });

  it("hands local processes only what they need of the gateway's environment", async () => {
    const config = await load("", { PATH: "/bin", HOME: "/root", AWS_SECRET: "x", NODE_OPTIONS: "--inspect" });
    expect(config.processEnvironment).toEqual({ PATH: "/bin", HOME: "/root" });
  });
});

describe("the settings of the command line", () => {
  it("come from the environment", () => {
    expect(clientSettings({})).toEqual({ url: "http://127.0.0.1:8000" });
    expect(clientSettings({ AIM_ENGINE_URL: "http://gpu:1", AIM_ENGINE_API_KEY: "k" })).toEqual({
      url: "http://gpu:1",
      apiKey: "k",
    });
  });
});
