// The allow-list of deploy/compose.socket-proxy.yaml against what the driver really asks of Docker.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { startChaosSocket } from "../support/chaos-socket.ts";
import { describeWithDocker, makeDockerRig, SOCKET } from "../support/docker.ts";
import { until } from "../support/until.ts";

const FILE = join(import.meta.dirname, "../../deploy/compose.socket-proxy.yaml");
const never = new AbortController().signal;

const schema = z.looseObject({
  services: z.looseObject({ "socket-proxy": z.looseObject({ command: z.array(z.string()) }) }),
});

/** The proxy puts "^" and "$" around its patterns, and looks at the decoded path. */
async function allowList(): Promise<(request: string) => boolean> {
  const { command } = schema.parse(parse(await readFile(FILE, "utf8"))).services["socket-proxy"];
  const patterns = new Map(
    command.flatMap((arg) => {
      const [, method, pattern] = /^-allow([A-Z]+)=(.*)$/.exec(arg) ?? [];
      return method === undefined || pattern === undefined ? [] : [[method, new RegExp(`^${pattern}$`)] as const];
    }),
  );
  return (request) => {
    const [method = "", target = ""] = request.split(" ");
    return patterns.get(method)?.test(decodeURIComponent(target.split("?")[0] ?? "")) === true;
  };
}

describeWithDocker("the socket proxy", () => {
  it("lets everything through that the driver asks", { timeout: 60_000 }, async () => {
    const isAllowed = await allowList();
    const rig = await makeDockerRig();
    const chaos = await startChaosSocket(SOCKET);
    const network = `${rig.installation}-net`;
    const driver = rig.makeDriver({ socketPath: chaos.socketPath, network });
    onTestFinished(async () => {
      await driver.close();
      await rig.removeAll();
      await chaos.close();
    });
    const watching = new AbortController();
    driver.watch(() => {}, watching.signal);
    await driver.ping(never);
    const ref = await driver.start(rig.spec(), () => {}, never);
    await driver.list(never);
    await driver.stats(ref, never);
    for await (const line of driver.logs(ref, { follow: false, tail: 1 }, never))
      expect(line.text).toBeTypeOf("string");
    expect((await driver.examine(never)).map(({ name }) => name)).toContain("live-restore");
    // Nobody listens there; asking is what counts.
    await expect(driver.pull("127.0.0.1:1/no/such:image", () => {}, never)).rejects.toThrow("cannot pull");
    await until(() => chaos.requests.some((request) => request.includes("/events")), { what: "the event stream" });
    await driver.stop(ref, { graceMs: 1000, reason: "test" }, never);
    watching.abort();
    expect(chaos.requests.length).toBeGreaterThan(10);
    expect(chaos.requests.filter((request) => !isAllowed(request))).toEqual([]);
  });

  it.each([
    "POST /v1.44/containers/abc/exec",
    "POST /v1.44/exec/abc/start",
    "GET /v1.44/containers/abc/archive?path=/etc/shadow",
    "PUT /v1.44/containers/abc/archive?path=/",
    "GET /v1.44/containers/abc/export",
    "POST /v1.44/containers/abc/update",
    "GET /v1.44/containers/abc/../../secrets/json",
    "POST /v1.44/build",
    "POST /v1.44/volumes/create",
    "POST /v1.44/plugins/pull",
    "POST /v1.44/swarm/init",
    "DELETE /v1.44/images/rocm%2Fvllm",
    "DELETE /v1.44/networks/aim-engine-network",
    "GET /v1.44/secrets",
  ])("refuses %s", async (request) => {
    expect((await allowList())(request)).toBe(false);
  });
});
