import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../src/lib/clock.ts";
import { DockerClient } from "../../../src/runtime/docker/client.ts";
import { examineDocker } from "../../../src/runtime/docker/examine.ts";
import type { Check } from "../../../src/runtime/driver.ts";
import { describeWithDocker, SOCKET } from "../../support/docker.ts";
import { makeFiles, type FileTree } from "../../support/proc-tree.ts";

const never = new AbortController().signal;
const ROUTES = `Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
eth0 00000000 010200C0 0003 0 0 0 00000000 0 0 0
docker0 000011AC 00000000 0001 0 0 0 0000FFFF 0 0 0
`;
const BRIDGE = { Name: "bridge", IPAM: { Config: [{ Subnet: "172.17.0.0/16" }] } };

async function examine(socketPath: string, procRoot: string, network?: string): Promise<ReadonlyMap<string, Check>> {
  const client = new DockerClient({ socketPath, clock: systemClock });
  const roots = { sysRoot: "/nowhere", devRoot: "/nowhere", procRoot };
  try {
    const onNetwork = network === undefined ? {} : { network };
    const checks = await examineDocker({ client, roots, clock: systemClock, ...onNetwork }, never);
    return new Map(checks.map((check) => [check.name, check]));
  } finally {
    client.close();
  }
}

describe("the examination of a Docker Engine", () => {
  const servers: Server[] = [];
  const trees: FileTree[] = [];
  afterEach(async () => {
    for (const server of servers.splice(0)) server.close();
    await Promise.all(trees.splice(0).map((tree) => tree.remove()));
  });

  /** What it finds of an engine that tells this of itself. */
  async function examineEngine(
    info: Readonly<Record<string, unknown>>,
    { network, routes = ROUTES }: { readonly network?: string; readonly routes?: string } = {},
  ): Promise<ReadonlyMap<string, Check>> {
    const tree = await makeFiles({ "net/route": routes });
    trees.push(tree);
    const answers: Readonly<Record<string, unknown>> = {
      version: { Version: "29.0.0", ApiVersion: "1.52", MinAPIVersion: "1.44" },
      info,
      networks: [BRIDGE],
    };
    const server = createServer((request, response) => {
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(answers[request.url?.split("/").at(-1) ?? ""] ?? {}));
    });
    servers.push(server);
    const socketPath = join(tree.root, "docker.sock");
    server.listen(socketPath);
    await once(server, "listening");
    return examine(socketPath, tree.root, network);
  }

  it("tells its version, and nothing of what an old one leaves out", async () => {
    const checks = await examineEngine({});
    expect(checks.get("docker")).toEqual({ name: "docker", status: "ok", found: "Engine 29.0.0, API 1.52" });
    expect([...checks.keys()]).toEqual(["docker", "docker devices", "docker network", "gpus"]);
  });

  it.each<[name: string, info: Record<string, unknown>, status: string, text: RegExp]>([
    ["live-restore", { LiveRestoreEnabled: false }, "warning", /stops every model/],
    ["live-restore", { LiveRestoreEnabled: true }, "ok", /live through/],
    ["docker storage", { Driver: "vfs" }, "warning", /copies the whole image/],
    ["docker storage", { Driver: "overlay2" }, "ok", /overlay2/],
    ["memory limits", { MemoryLimit: false, CgroupVersion: "1" }, "warning", /cannot limit.*cgroup v1/],
    ["memory limits", { MemoryLimit: true, SwapLimit: false }, "warning", /swap is not/],
    ["memory limits", { MemoryLimit: true, SwapLimit: true, CgroupVersion: "2" }, "ok", /cgroup v2/],
    ["docker logs", { Plugins: { Log: ["journald"] } }, "problem", /no json-file/],
    ["docker logs", { Plugins: { Log: ["json-file"] }, LoggingDriver: "journald" }, "ok", /default: journald/],
    [
      "docker devices",
      { Runtimes: { runc: {}, amd: {} }, DiscoveredDevices: [{ ID: "amd.com/gpu=0" }, { ID: "amd.com/gpu=1" }] },
      "ok",
      /runtimes: runc, amd; CDI: amd.com\/gpu$/,
    ],
    ["docker disk", { DockerRootDir: "/proc" }, "problem", /^\/proc: 0 B free/],
  ])("says of %s with %o: %s", async (name, info, status, text) => {
    const check = (await examineEngine(info)).get(name);
    expect(check?.status).toBe(status);
    expect(check?.found).toMatch(text);
    expect(check?.fix === undefined).toBe(status === "ok");
  });

  it.each([
    [-60_000, "warning", /60 s behind/],
    [60_000, "warning", /(59|60) s ahead/],
    [0, "ok", /agrees/],
  ])("judges a clock that is %i ms off: %s", async (skew, status, text) => {
    const info = { SystemTime: new Date(systemClock.wallNow() + skew).toISOString() };
    const check = (await examineEngine(info)).get("clock");
    expect(check?.status).toBe(status);
    expect(check?.found).toMatch(text);
  });

  it("sees whether there is a way to the containers", async () => {
    expect((await examineEngine({})).get("docker network")?.status).toBe("ok");
    const elsewhere = ROUTES.replace("000011AC", "000012AC");
    expect((await examineEngine({}, { routes: elsewhere })).get("docker network")).toMatchObject({
      status: "warning",
      found: expect.stringContaining("no route from here to bridge (172.17.0.0/16)"),
    });
    expect((await examineEngine({}, { network: "models" })).get("docker network")).toMatchObject({
      status: "ok",
      found: "models will be made when a replica needs it",
    });
  });

  it("finds that there is no Docker, and what to do", async () => {
    expect((await examine("/nowhere/docker.sock", "/nowhere")).get("docker")).toEqual({
      name: "docker",
      status: "problem",
      found: "cannot reach Docker: there is no socket at /nowhere/docker.sock",
      fix: "start Docker, or mount its socket there",
    });
  });

  it("keeps a proxy's password to itself", async () => {
    const checks = await examineEngine({ HttpProxy: "http://user:canary@proxy:3128", Labels: ["token=canary"] });
    expect(JSON.stringify([...checks])).not.toContain("canary");
  });

  it("ends when it is told to", async () => {
    const client = new DockerClient({ socketPath: "/nowhere", clock: systemClock });
    const roots = { sysRoot: "/nowhere", devRoot: "/nowhere", procRoot: "/nowhere" };
    const told = AbortSignal.abort(new Error("enough"));
    await expect(examineDocker({ client, roots, clock: systemClock }, told)).rejects.toThrow("enough");
  });
});

describeWithDocker("the examination of this machine's Docker Engine", () => {
  it("finds nothing that keeps replicas from running", async () => {
    const checks = await examine(SOCKET, "/proc");
    expect(checks.get("docker")?.found).toMatch(/^Engine \d/);
    expect(checks.get("docker network")).toMatchObject({ status: "ok", found: expect.stringContaining("reached") });
    expect([...checks.values()].filter(({ status, name }) => status === "problem" && name !== "docker disk")).toEqual(
      [],
    );
  });
});
