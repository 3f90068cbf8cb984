import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientSettings, loadConfig } from "../src/config.ts";
import { isAimError } from "../src/errors.ts";

const DIGEST = `sha256:${"0123456789abcdef".repeat(4)}`;

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

  it("limits requests generously, and never as a whole unless told to", async () => {
    expect((await load("timeouts: { total: 3h, idle: 1m }")).timeouts).toEqual({
      connect: 2_000,
      firstByte: 1_800_000,
      idle: 60_000,
      total: 10_800_000,
      progress: 180_000,
    });
    expect((await load("")).timeouts.total).toBe(Infinity);
    expect(await messageOf("timeouts: { connect: 0s }")).toContain("timeouts.connect: expected a time");
  });

  it("takes paths from where the file is", async () => {
    const config = await load("recipes: [mine, /opt/theirs]\nstateDir: ../state\n");
    expect(config.recipes).toEqual([join(folder, "mine"), "/opt/theirs"]);
    expect(config.logDir).toBe(join(folder, "../state/logs"));
  });

  it.each([
    ["keepalive: 5m", /config\.yaml:1:1: keepalive: unknown key; did you mean "keepAlive"\?/],
    ["docker:\n  sokcet: /run/docker.sock", /config\.yaml:2:3: docker\.sokcet: unknown key; did you mean "socket"\?/],
    ["images:\n  vlm: x", /config\.yaml:2:3: images\.vlm: unknown key; did you mean "vllm"\?/],
    ["process:\n  gpus: [{ id: a, prodcut: MI300X, memory: 192g }]", /did you mean "product"\?/],
    ["keepAlive: 5 minutes", /config\.yaml:1:12: keepAlive: expected a duration such as "30s"/],
    ["maxBody: 5x", /config\.yaml:1:10: maxBody: expected a size such as "512m"/],
    ["listen: 8000", /config\.yaml:1:9: listen: /],
    ["listen: localhost", /expected HOST:PORT/],
    ["runtime: dokcer", /did you mean "docker"\?/],
    ["installation: My Engine", /lower-case/],
    ["registry: acme", /config\.yaml:1:11: registry: expected a registry such as/],
    ["images: { vllm: Rocm/VLLM }", /images\.vllm: expected an image such as/],
    ["policy: { mounts: [srv/models] }", /policy\.mounts\.0: expected an absolute folder or a volume/],
    ["policy: { mounts: ['/srv/models:rw'] }", /policy\.mounts\.0: expected an absolute folder or a volume/],
    ["policy: { mounts: [/srv/../etc] }", /policy\.mounts\.0: expected a folder without "\.\."/],
    ["policy: { capabilities: [ALL] }", /policy\.capabilities\.0: expected a capability/],
    ["policy: { registries: ['rocm/vllm:v1'] }", /policy\.registries\.0: expected the beginning of image names/],
    ["policy: { hostnetwork: true }", /did you mean "hostNetwork"\?/],
    ["startTimeout: forever", /config\.yaml:1:15: startTimeout: expected a time that ends/],
    ["startTimeout: 0s", /startTimeout: expected a time that ends/],
    ["stopGrace: never", /stopGrace: expected a time that ends/],
    ["gpuRecovery: forever", /gpuRecovery: expected a time that ends/],
    ["drainTimeout: forever", /drainTimeout: expected a time that ends/],
    ["docker: { pullSilence: forever }", /docker\.pullSilence: expected a time that ends/],
    ["docker: { cache: / }", /docker\.cache: expected a volume, an absolute folder of the host below/],
    ["docker: { cache: .. }", /docker\.cache: expected a volume/],
    ["docker: { cache: ./cache }", /docker\.cache: expected a volume/],
    ["docker: { cache: /srv/../etc }", /docker\.cache: expected a volume/],
    ["docker: { cache: 'weights:/x' }", /docker\.cache: expected a volume/],
    ["docker: { binds: [/srv/models] }", /docker\.binds\.0: expected "SOURCE:TARGET"/],
    ["docker: { network: host }", /docker\.network: expected the name of a network of containers/],
    ["docker: { network: 'container:x' }", /docker\.network: expected the name of a network of containers/],
    ["docker: { hostPorts: 19000-18000 }", /docker\.hostPorts: expected a range such as/],
    ["docker: { hostPorts: 60000-70000 }", /docker\.hostPorts: expected a range such as/],
    ["docker: { hostPorts: 18000 }", /docker\.hostPorts: expected a range such as/],
    ["docker: { socket: 'http://proxy:2375' }", /docker\.socket: expected the path of a socket/],
    ["docker: { socket: docker.sock }", /docker\.socket: expected the path of a socket/],
    ["docker: { sysRoot: sys }", /docker\.sysRoot: expected an absolute folder/],
    ["docker: { devRoot: '' }", /docker\.devRoot: expected an absolute folder/],
    ["scheduler: { maxStarts: 0 }", /scheduler\.maxStarts: expected 1 or more$/m],
    ["scheduler: { maxStarts: many }", /scheduler\.maxStarts: expected a number$/m],
    ['scheduler: { abortUnwanted: "yes" }', /scheduler\.abortUnwanted: expected true or false$/m],
    ["apiKeys: [{ key: long-enough, weight: 101 }]", /apiKeys\.0\.weight: expected 100 or less$/m],
    ["process: { gpus: [gpu0] }", /process\.gpus\.0: expected a map of keys and values$/m],
    ["process: { gpus: [{ id: '', memory: 192g }] }", /gpus\.0\.id: expected text, found nothing$/m],
    ["process: { gpus: [{ id: a, memory: 192g }] }", /gpus\.0\.product: missing; expected text$/m],
    ["scheduler: { maxwait: 5m }", /config\.yaml:1:14: scheduler\.maxwait: unknown key; did you mean "maxWait"\?/],
    ["scheduler: { maxWait: forever }", /scheduler\.maxWait: expected a time that ends/],
    ["scheduler: { maxStarts: 0 }", /scheduler\.maxStarts: /],
    [
      "scheduler: { minResidency: 5m, maxWait: 3m }",
      /config\.yaml:1:12: scheduler: a model in use keeps its GPUs for minResidency \(5m\).*maxWait \(3m\); give maxWait at least 5m, or/,
    ],
    ["scheduler: { balance: random }", /scheduler\.balance: expected one of predicted-ttft, least-in-flight/],
    ["scheduler: { minResidency: 10m }", /scheduler: a model in use .*maxWait \(9m\); give maxWait at least 10m/],
    ["apiKeys: [short]", /config\.yaml:1:11: apiKeys\.0: expected a key of at least 8 characters/],
    ["apiKeys: [{ key: short }]", /config\.yaml:1:18: apiKeys\.0\.key: expected a key of at least 8 characters/],
    ["apiKeys: [{ name: team }]", /apiKeys\.0\.key: missing; expected a key of at least 8/],
    ["apiKeys: [12345678]", /config\.yaml:1:11: apiKeys\.0: expected a key in quotes, or a map/],
    ["apiKeys: [{ key: long-enough, wieght: 2 }]", /apiKeys\.0\.wieght: unknown key; did you mean "weight"\?/],
    ["apiKeys: [{ key: long-enough, weight: 0 }]", /apiKeys\.0\.weight: /],
    ["apiKeys: [{ key: long-enough, priority: hihg }]", /apiKeys\.0\.priority: .*did you mean "high"\?/],
    ["apiKeys: [{ key: long-enough, name: a b }]", /apiKeys\.0\.name: expected up to 40 letters/],
    ["apiKeys: [{ key: long-enough, name: key-2 }]", /apiKeys\.0\.name: names such as key-1 are those of keys without/],
    [
      "apiKeys: [long-enough, long-enough]",
      /^(?!.*long-enough).*config\.yaml:1:24: apiKeys\.1: this key is apiKeys\.0 already/s,
    ],
    [
      "apiKeys: [long-enough, { key: long-enough, name: team }]",
      /^(?!.*long-enough).*config\.yaml:1:31: apiKeys\.1\.key: this key is apiKeys\.0 already/s,
    ],
    [
      "apiKeys: [{ key: one-key-of-two, name: team, weight: 2 }, { key: two-key-of-two, name: team, weight: 3 }]",
      /config\.yaml:1:102: apiKeys\.1\.weight: keys of one name share their turn, and another "team" has weight 2/,
    ],
    ["keepAlive: [", /config\.yaml:\d+:\d+: /],
  ])("%s is refused with its place and the remedy", async (text, message) => {
    expect(await messageOf(text)).toMatch(message);
  });

  it.each([
    "docker: { cache: none }",
    "docker: { cache: my-cache }",
    "docker: { cache: /srv/cache }",
    "docker: { binds: ['/srv/a:/a:ro', 'vol:/b'] }",
    "docker: { network: models_net }",
    "docker: { hostPorts: 18000-18000 }",
    "docker: { socket: 'unix:///run/user/1000/docker.sock' }",
    "docker: { socket: 'tcp://[::1]:2375' }",
    "stopGrace: 0s",
    "scheduler: { minResidency: 10m, maxWait: 10m }",
    "scheduler: { minResidency: 0s, maxWait: 0s, sleepMemory: 0g }",
    "apiKeys: [{ key: one-key-of-two, name: team, weight: 2 }, { key: two-key-of-two, name: team, weight: 2 }]",
  ])("%s is taken", async (text) => {
    await expect(load(text)).resolves.toBeDefined();
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

  it("takes keys as text, or with what is granted to them, and their secrets from the environment", async () => {
    const text =
      'apiKeys: ["${ADMIN}", { key: "${TEAM}", name: "${NAME}", weight: 4, priority: low, mayStart: false }]';
    const { apiKeys } = await load(text, { ADMIN: "secret-of-admin", TEAM: "secret-of-team", NAME: "team" });
    expect(apiKeys).toEqual([
      "secret-of-admin",
      { key: "secret-of-team", name: "team", weight: 4, priority: "low", mayStart: false },
    ]);
    expect(await messageOf(text, { ADMIN: "secret-of-admin", NAME: "team" })).toMatch(
      /config\.yaml:1:\d+: apiKeys\.1\.key: the environment variable TEAM is not set/,
    );
  });

  it("grants a key without more what is usual", async () => {
    const { apiKeys } = await load("apiKeys: [{ key: long-enough }]");
    expect(apiKeys).toEqual([{ key: "long-enough", weight: 1, priority: "normal", mayStart: true }]);
  });

  it("lets AIM_ENGINE_LISTEN and VLLM_BASE_REGISTRY have the last word over defaults", async () => {
    const env = { AIM_ENGINE_LISTEN: "[::1]:9000", VLLM_BASE_REGISTRY: "registry.example/vllm" };
    await expect(load("listen: 127.0.0.1:1\n", env)).resolves.toMatchObject({
      listen: { host: "::1", port: 9000 },
      images: { vllm: "registry.example/vllm:latest" },
    });
    await expect(load("", { AIM_ENGINE_LISTEN: "everywhere" })).rejects.toThrow("AIM_ENGINE_LISTEN");
  });

  it.each([
    ["rocm/vllm", "rocm/vllm:latest"],
    ["rocm/vllm:rocm7.0", "rocm/vllm:rocm7.0"],
    ["registry.example:5000/rocm/vllm", "registry.example:5000/rocm/vllm:latest"],
    ["registry.example:5000/rocm/vllm:v1", "registry.example:5000/rocm/vllm:v1"],
    [`rocm/vllm@${DIGEST}`, `rocm/vllm@${DIGEST}`],
    [DIGEST, DIGEST],
    ["", "rocm/vllm:latest"],
  ])("reads VLLM_BASE_REGISTRY=%s as the image %s", async (text, vllm) => {
    expect((await load("", { VLLM_BASE_REGISTRY: text })).images.vllm).toBe(vllm);
  });

  it("takes images of config.yaml over VLLM_BASE_REGISTRY", async () => {
    const config = await load("images: { vllm: mine/vllm:1 }", { VLLM_BASE_REGISTRY: "other/vllm" });
    expect(config.images.vllm).toBe("mine/vllm:1");
  });

  it("takes a registry from the file, and AIM_ENGINE_REGISTRY has the last word", async () => {
    expect((await load("registry: registry.example:5000/mirror/")).registry).toBe("registry.example:5000/mirror");
    const env = { AIM_ENGINE_REGISTRY: "localhost:5000" };
    expect((await load("registry: registry.example", env)).registry).toBe("localhost:5000");
    expect((await load("registry: registry.example", { AIM_ENGINE_REGISTRY: "" })).registry).toBe("registry.example");
    expect((await load("")).registry).toBeUndefined();
  });

  it("hands MODEL_REGISTRY to engines as the hub of their models, unless env says otherwise", async () => {
    const hub = async (text: string, yaml = "") => (await load(yaml, { MODEL_REGISTRY: text })).env["HF_ENDPOINT"];
    expect(await hub("huggingface.co")).toBe("https://huggingface.co");
    expect(await hub("http://hub.example:8080/hf/")).toBe("http://hub.example:8080/hf");
    expect(await hub("")).toBeUndefined();
    expect(await hub("huggingface.co", "env: { HF_ENDPOINT: https://mine.example }")).toBe("https://mine.example");
  });

  it.each([
    ["AIM_ENGINE_REGISTRY", "https://registry.example", /AIM_ENGINE_REGISTRY is "https.*without "https/],
    ["AIM_ENGINE_REGISTRY", "acme", /AIM_ENGINE_REGISTRY is "acme"; expected a registry/],
    ["VLLM_BASE_REGISTRY", "Rocm/VLLM", /VLLM_BASE_REGISTRY is "Rocm\/VLLM"; expected an image/],
    ["MODEL_REGISTRY", "hub example", /MODEL_REGISTRY is no address/],
    ["MODEL_REGISTRY", "https://user:secret@hub.example", /^(?!.*secret).*MODEL_REGISTRY is no address/],
    ["MODEL_REGISTRY", "ftp://hub.example", /MODEL_REGISTRY is no address/],
  ])("refuses %s=%s", async (name, value, message) => {
    expect(await messageOf("", { [name]: value })).toMatch(message);
  });

  it("reads a policy, and the strictest one when there is none", async () => {
    expect((await load("")).policy).toEqual({ mounts: [], capabilities: [], hostNetwork: false, processes: false });
    const text = "policy: { mounts: [/srv/models:ro, weights], capabilities: [CAP_IPC_LOCK], registries: [rocm/] }";
    expect((await load(text)).policy).toEqual({
      mounts: ["/srv/models:ro", "weights"],
      capabilities: ["IPC_LOCK"],
      hostNetwork: false,
      processes: false,
      registries: ["rocm/"],
    });
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
