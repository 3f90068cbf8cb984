// The files of deploy/ for one node: what they say, and that Docker Compose brings a gateway up from them.
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { z } from "zod";
import { loadConfig } from "../../src/config.ts";
import { describeWithDocker } from "../support/docker.ts";
import { KEY, makePackage, ROOT, type Package } from "../support/packaged-gateway.ts";
import { until } from "../support/until.ts";

const run = promisify(execFile);
const FILES = ["compose.yaml", "compose.socket-proxy.yaml"];
const MAIN = join(ROOT, "src/main.ts");

const read = (name: string) => readFile(join(ROOT, "deploy", name), "utf8");

const serviceSchema = z.looseObject({
  volumes: z.array(z.string()).default([]),
  networks: z.array(z.string()).default([]),
  ports: z.array(z.string()).default([]),
  group_add: z.array(z.string()).default([]),
  environment: z.record(z.string(), z.string()).default({}),
  command: z.array(z.string()).default([]),
});
const composeSchema = z.looseObject({ services: z.record(z.string(), serviceSchema) });

async function services(name: string) {
  return composeSchema.parse(parse(await read(name))).services;
}

/** "docker compose", or the "docker-compose" that came before it; undefined where there is neither. */
const compose = await [["docker", "compose"], ["docker-compose"]].reduce<Promise<readonly string[] | undefined>>(
  async (found, command) =>
    (await found) ??
    run(command[0] ?? "", [...command.slice(1), "version"]).then(
      () => command,
      () => undefined,
    ),
  Promise.resolve(undefined),
);

describe("the files of deploy/", () => {
  it.each(FILES)("%s locks the gateway in, and opens one port", async (name) => {
    expect((await services(name))["aim-engine"]).toMatchObject({
      read_only: true,
      cap_drop: ["ALL"],
      security_opt: ["no-new-privileges:true"],
      restart: "unless-stopped",
      ports: [expect.stringMatching(/:8000$/)],
      logging: { driver: "json-file", options: { "max-size": "100m", "max-file": "3" } },
    });
  });

  it("differ in who has Docker's socket, and in nothing else", async () => {
    const [direct, proxied] = await Promise.all(FILES.map(async (name) => (await services(name))["aim-engine"]));
    if (direct === undefined || proxied === undefined) throw new Error("a file has no aim-engine");
    const { AIM_ENGINE_DOCKER: address, ...environment } = proxied.environment;
    expect(address).toBe("tcp://socket-proxy:2375");
    const { depends_on: needed, ...rest } = proxied;
    expect(needed).toEqual(["socket-proxy"]);
    expect({ ...rest, environment, networks: ["models"] }).toEqual({
      ...direct,
      volumes: direct.volumes.filter((volume) => !volume.includes("docker.sock")),
      group_add: direct.group_add.filter((group) => !group.includes("DOCKER_GID")),
    });
  });

  it("take every variable that .env.example explains, and no other", async () => {
    const texts = await Promise.all(FILES.map(read));
    const used = texts.flatMap((text) => [...text.matchAll(/\$\{(\w+)/g)].map(([, name]) => name ?? ""));
    const explained = [...(await read(".env.example")).matchAll(/^(\w+)=/gm)].map(([, name]) => name ?? "");
    // For tests and for a second gateway on one host.
    expect(new Set(used.filter((name) => name !== "AIM_ENGINE_NAME"))).toEqual(new Set(explained));
  });

  it("have a configuration whose folders are those that are mounted", async () => {
    const config = await loadConfig(join(ROOT, "deploy/config.yaml"), { AIM_ENGINE_KEY: KEY });
    expect(config).toMatchObject({
      apiKeys: [KEY],
      docker: { socket: "/var/run/docker.sock", network: "aim-engine-network" },
    });
    const targets = (await services("compose.yaml"))["aim-engine"]?.volumes.map((volume) => volume.split(":")[1]);
    for (const folder of [config.stateDir, config.logDir, ...config.recipes, config.docker.socket])
      expect(targets).toContain(folder);
    const behindProxy = { AIM_ENGINE_KEY: KEY, AIM_ENGINE_DOCKER: "tcp://socket-proxy:2375" };
    const proxied = await loadConfig(join(ROOT, "deploy/config.yaml"), behindProxy);
    expect(proxied.docker.socket).toBe("tcp://socket-proxy:2375");
  });

  it("start the service with a program and folders that the installation has", async () => {
    const unit = await read("aim-engine.service");
    const [, program, ...args] = /^ExecStart=(\S+) --\S+ (\S+) serve --config (\S+)$/m.exec(unit) ?? [];
    expect(program).toBe("/opt/aim-engine/node_modules/node/bin/node");
    expect(args).toEqual(["src/main.ts", "/etc/aim-engine/config.yaml"]);
    expect(unit).toContain("SupplementaryGroups=docker render video");
    const example = /```yaml title="\/etc\/aim-engine\/config\.yaml"\n([\s\S]*?)```/.exec(
      await readFile(join(ROOT, "docs/operations.md"), "utf8"),
    )?.[1];
    expect(parse(example ?? "")).toMatchObject({ stateDir: "/var/lib/aim-engine", logDir: "/var/log/aim-engine" });
  });
});

describe.skipIf(compose === undefined)("Docker Compose", () => {
  it.each(FILES)("understands %s", async (name) => {
    const env = { PATH: process.env["PATH"], AIM_ENGINE_KEY: KEY, DOCKER_GID: "1", RENDER_GID: "2", VIDEO_GID: "3" };
    const [program = "", ...args] = compose ?? [];
    const { stdout } = await run(program, [...args, "-f", join(ROOT, "deploy", name), "config"], { env });
    expect(stdout).toContain(KEY);
  });

  it.each(FILES)("refuses %s without a key, and says where to look", async (name) => {
    const [program = "", ...args] = compose ?? [];
    const env = { PATH: process.env["PATH"], DOCKER_GID: "1", RENDER_GID: "2", VIDEO_GID: "3" };
    await expect(run(program, [...args, "-f", join(ROOT, "deploy", name), "config"], { env })).rejects.toThrow(
      /AIM_ENGINE_KEY[\s\S]*see \.env\.example/,
    );
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

describeWithDocker("a gateway by Docker Compose", () => {
  let made: Package;
  let url: string;
  let up: (...args: readonly string[]) => Promise<unknown>;

  beforeAll(async () => {
    if (compose === undefined) return;
    made = await makePackage();
    const { installation, folder, gpus, gpuFolder, socketGroup, image } = made;
    url = `http://127.0.0.1:${await freePort()}`;
    const override = {
      services: {
        "aim-engine": {
          image,
          volumes: [
            `${join(folder, "config.yaml")}:/opt/aim-engine/config/config.yaml:ro`,
            `${gpuFolder}:${gpuFolder}:ro`,
          ],
        },
      },
      networks: { models: { name: installation } },
    };
    await writeFile(join(folder, "override.yaml"), stringify(override));
    const env = {
      PATH: process.env["PATH"],
      AIM_ENGINE_KEY: KEY,
      AIM_ENGINE_NAME: `${installation}-gateway`,
      AIM_ENGINE_ADDRESS: url.slice("http://".length),
      AIM_ENGINE_KFD: join(gpus.devRoot, "kfd"),
      AIM_ENGINE_DRI: join(gpus.devRoot, "dri"),
      DOCKER_GID: String(socketGroup),
      RENDER_GID: String(socketGroup + 1),
      VIDEO_GID: String(socketGroup + 2),
    };
    const [program = "", ...before] = compose;
    const files = [join(ROOT, "deploy/compose.yaml"), join(folder, "override.yaml")].flatMap((file) => ["-f", file]);
    up = (...args) => run(program, [...before, "-p", installation, ...files, ...args], { env });
    await up("up", "--detach", "--no-build");
    await until(isLive, { timeoutMs: 20_000, what: "the gateway by compose" });
  }, 240_000);
  afterAll(async () => {
    if (compose === undefined) return;
    for (const { Id } of await made.replicas()) await made.docker.getContainer(Id).remove({ force: true });
    await up("down", "--volumes");
    await made.remove();
  }, 60_000);

  function isLive(): Promise<boolean> {
    return fetch(`${url}/health/live`).then(
      ({ ok }) => ok,
      () => false,
    );
  }

  /** As the kernel does when memory runs out; "docker kill" would count as a wish. */
  async function killGateway(): Promise<void> {
    const { State: state } = await made.docker.getContainer(`${made.installation}-gateway`).inspect();
    process.kill(state.Pid, "SIGKILL");
    await until(async () => !(await isLive()), { what: "the end of the gateway" });
  }

  /** The command line of this machine, outside of the container. */
  async function cli(...args: readonly string[]): Promise<string> {
    const env = { PATH: process.env["PATH"], AIM_ENGINE_URL: url, AIM_ENGINE_API_KEY: KEY };
    return (await run(process.execPath, [MAIN, ...args], { env })).stdout;
  }

  it.skipIf(compose === undefined)(
    "launches from outside, is seen from inside, comes back when killed, and gives its GPUs back",
    { timeout: 90_000 },
    async () => {
      await cli("launch", "Qwen/Qwen3-32B", "4", "--precision", "bf16");
      const [replica] = await made.replicas();
      expect(replica?.HostConfig.Devices).toHaveLength(5);
      expect(replica?.HostConfig.LogConfig).toEqual({
        Type: "json-file",
        Config: { "max-size": "100m", "max-file": "3" },
      });
      const inside = await run("docker", ["exec", `${made.installation}-gateway`, "aim-engine", "ps"]);
      expect(inside.stdout).toMatch(/qwen3-32b-bf16-1 .*ready/);
      await killGateway();
      await until(isLive, { timeoutMs: 30_000, what: "the gateway's return" });
      const isReady = async () => /qwen3-32b-bf16-1 .*ready/.test(await cli("ps"));
      await until(isReady, { timeoutMs: 30_000, what: "the replica that it takes over" });
      expect((await made.replicas()).map(({ Id }) => Id)).toEqual([replica?.Id]);
      await cli("stop", "qwen3-32b-bf16-1");
      expect(await made.replicas()).toEqual([]);
      const gpus: { gpus: readonly { status: string }[] } = JSON.parse(await cli("gpus", "--json"));
      expect(new Set(gpus.gpus.map(({ status }) => status))).toEqual(new Set(["free"]));
    },
  );
});
