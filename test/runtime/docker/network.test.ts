// A gateway that runs in a container itself: it has to be in the network of the replicas that it dials.
import type { Container } from "dockerode";
import { afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { isAimError } from "../../../src/errors.ts";
import type { DockerDriver, DockerDriverOptions } from "../../../src/runtime/docker/driver.ts";
import { startChaosSocket, type ChaosSocket } from "../../support/chaos-socket.ts";
import { describeWithDocker, makeDockerRig, SOCKET, type DockerRig } from "../../support/docker.ts";

const CONNECT = /^POST \S*\/networks\/[^/]+\/connect/;

describeWithDocker("a gateway in a container", () => {
  const never = new AbortController().signal;
  let rig: DockerRig;
  let chaos: ChaosSocket;
  let network: string;
  const drivers: DockerDriver[] = [];

  beforeAll(async () => {
    rig = await makeDockerRig();
  });
  beforeEach(async () => {
    chaos = await startChaosSocket(SOCKET);
    network = `${rig.installation}-net`;
  });
  afterEach(async () => {
    await Promise.all(drivers.splice(0).map((driver) => driver.close()));
    await chaos.close();
    await rig.removeAll();
  });

  function makeDriver(selfContainer: string, options: Partial<DockerDriverOptions> = {}): DockerDriver {
    const driver = rig.makeDriver({ network, selfContainer, socketPath: chaos.socketPath, ...options });
    drivers.push(driver);
    return driver;
  }

  /** Stands in for the gateway's own container; what runs in it does not matter. */
  async function makeHome(networkMode = "bridge"): Promise<Container> {
    const container = await rig.docker.createContainer({
      name: `${rig.installation}-gateway`,
      Image: rig.spec().image!,
      Entrypoint: ["node", "-e", "setInterval(() => {}, 1000)"],
      HostConfig: { NetworkMode: networkMode, Init: true },
    });
    await container.start();
    return container;
  }

  const networksOf = async (container: Container) =>
    Object.keys((await container.inspect()).NetworkSettings.Networks).sort();
  const start = (driver: DockerDriver) => driver.start(rig.spec(), () => {}, never);
  const attempts = () => chaos.requests.filter((line) => CONNECT.test(line)).length;

  it("is attached to the replicas' network with the first start, once", async () => {
    const home = await makeHome();
    const driver = makeDriver(home.id);
    await start(driver);
    expect(await networksOf(home)).toEqual(["bridge", network]);
    await start(driver);
    await driver.list(never);
    expect(attempts()).toBe(1);
  });

  it("is attached before replicas are listed that it has to reach, as after its own container was replaced", async () => {
    await start(makeDriver((await makeHome()).id));
    await rig.docker.getContainer(`${rig.installation}-gateway`).remove({ force: true });
    const home = await makeHome();
    const driver = makeDriver(home.id);
    expect(await driver.list(never)).toHaveLength(1);
    expect(await networksOf(home)).toEqual(["bridge", network]);
  });

  it("is attached again when that was undone while Docker was lost", async () => {
    const home = await makeHome();
    const driver = makeDriver(home.id);
    await start(driver);
    await driver.list(never);
    await rig.docker.getNetwork(network).disconnect({ Container: home.id });
    await driver.list(never);
    expect(await networksOf(home)).toEqual(["bridge"]);
    chaos.inject(/containers\/json/, { kind: "drop request" });
    await expect(driver.list(never)).rejects.toThrow("hung up");
    await driver.list(never);
    expect(await networksOf(home)).toEqual(["bridge", network]);
  });

  it("makes no network before there is a replica", async () => {
    const home = await makeHome();
    expect(await makeDriver(home.id).list(never)).toEqual([]);
    expect(await networksOf(home)).toEqual(["bridge"]);
    expect(await rig.docker.listNetworks({ filters: { name: [network] } })).toEqual([]);
  });

  it("is attached to Docker's default bridge where replicas are there", async () => {
    await rig.docker.createNetwork({ Name: network });
    const home = await makeHome(network);
    const driver = rig.makeDriver({ selfContainer: home.id });
    drivers.push(driver);
    await start(driver);
    expect(await networksOf(home)).toEqual(["bridge", network]);
  });

  it("is left alone on the host's network, where every container can be reached", async () => {
    const home = await makeHome("host");
    await start(makeDriver(home.id));
    expect(await networksOf(home)).toEqual(["host"]);
    expect(attempts()).toBe(0);
  });

  it("takes a lost race to attach it for success", async () => {
    const home = await makeHome();
    await rig.docker.createNetwork({ Name: network });
    chaos.inject(CONNECT, { kind: "drop answer" });
    await expect(start(makeDriver(home.id))).resolves.toBeDefined();
    expect(await networksOf(home)).toEqual(["bridge", network]);
  });

  it("starts nothing that it could not reach, and says why", async () => {
    const home = await makeHome();
    chaos.inject(CONNECT, { kind: "answer", status: 403, body: '{"message":"forbidden by the socket proxy"}' });
    const driver = makeDriver(home.id);
    const error: unknown = await start(driver).catch((thrown: unknown) => thrown);
    expect(isAimError(error, "runtime_failed")).toBe(true);
    expect(String(error)).toMatch(/attach the gateway's container.*forbidden by the socket proxy/);
  });

  it("goes on listing where it cannot be attached", async () => {
    const home = await makeHome();
    const outside = rig.makeDriver({ network });
    drivers.push(outside);
    await start(outside);
    chaos.inject(CONNECT, { kind: "answer", status: 403, body: '{"message":"forbidden"}' }, 9);
    const driver = makeDriver(home.id);
    expect(await driver.list(never)).toHaveLength(1);
    expect(await driver.list(never)).toHaveLength(1);
    expect(attempts()).toBe(1);
  });

  it("refuses a replica on the host's network, which it cannot reach", async () => {
    const home = await makeHome();
    const spec = { ...rig.spec(), network: "host" as const };
    const error: unknown = await makeDriver(home.id)
      .start(spec, () => {}, never)
      .catch((thrown: unknown) => thrown);
    expect(String(error)).toContain("run it with --network host");
  });

  it("does nothing of the kind when the container it was told is not there", async () => {
    await start(makeDriver("0123456789ab"));
    expect(attempts()).toBe(0);
  });
});
