// What only the docker runtime does, on a real engine.
import { execFileSync } from "node:child_process";
import { chown } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeAll, expect, it, onTestFinished } from "vitest";
import { LABELS, type LaunchSpec } from "../../../src/catalog/launch-spec.ts";
import { isAimError } from "../../../src/errors.ts";
import type { DockerDriver, DockerDriverOptions } from "../../../src/runtime/docker/driver.ts";
import type { ObservedReplica } from "../../../src/runtime/driver.ts";
import { describeWithDocker, makeDockerRig, type DockerRig } from "../../support/docker.ts";
import { makeGpuTree } from "../../support/gpu-tree.ts";
import { until } from "../../support/until.ts";

describeWithDocker("the docker driver", () => {
  const never = new AbortController().signal;
  const NOW = { graceMs: 0, reason: "the test is over" };
  let rig: DockerRig;
  const drivers: DockerDriver[] = [];

  beforeAll(async () => {
    rig = await makeDockerRig();
  });
  afterEach(async () => {
    await Promise.all(drivers.splice(0).map((driver) => driver.close()));
    await rig.removeAll();
  });

  function makeDriver(options: Partial<DockerDriverOptions> = {}): DockerDriver {
    const driver = rig.makeDriver(options);
    drivers.push(driver);
    return driver;
  }

  async function start(driver: DockerDriver, spec: LaunchSpec = rig.spec()) {
    const ref = await driver.start(spec, () => {}, never);
    const container = rig.docker.getContainer(ref.id);
    return { ref, container, inspected: await container.inspect() };
  }

  async function onlyOne(driver: DockerDriver): Promise<ObservedReplica> {
    const found = await driver.list(never);
    expect(found.length).toBe(1);
    return found[0]!;
  }

  async function failureOf(work: Promise<unknown>): Promise<unknown> {
    return work.then(
      () => expect.unreachable("it did not fail"),
      (error: unknown) => error,
    );
  }

  it("dials the container's own address, and publishes nothing", async () => {
    const driver = makeDriver();
    const { inspected } = await start(driver);
    const { address } = await onlyOne(driver);
    expect(address?.href).toBe(`http://${inspected.NetworkSettings.Networks["bridge"]?.IPAddress}:8000/`);
    expect(inspected.HostConfig.PortBindings ?? {}).toEqual({});
    expect(inspected.NetworkSettings.Ports).toEqual({});
  });

  it("dials a loopback port where it is told to publish", async () => {
    const driver = makeDriver({ publish: true });
    const { inspected } = await start(driver);
    const [binding] = inspected.NetworkSettings.Ports["8000/tcp"] ?? [];
    expect(binding?.HostIp).toBe("127.0.0.1");
    expect((await onlyOne(driver)).address?.href).toBe(`http://127.0.0.1:${binding?.HostPort}/`);
  });

  it("makes the network it is told to use, once, and dials the address there", async () => {
    const network = `${rig.installation}-net`;
    const driver = makeDriver({ network });
    const [first] = await Promise.all([start(driver), start(driver)]);
    expect(Object.keys(first.inspected.NetworkSettings.Networks)).toEqual([network]);
    const ip = first.inspected.NetworkSettings.Networks[network]?.IPAddress;
    const found = await driver.list(never);
    expect(found.map((one) => one.address?.hostname)).toContain(ip);
    expect(await rig.docker.listNetworks({ filters: { name: [network] } })).toHaveLength(1);
  });

  it("keeps secrets out of the URLs it sends, and the gateway's environment out of the container", async () => {
    const { inspected } = await start(makeDriver(), rig.spec({ env: { HF_TOKEN: "hf_secret" } }));
    expect(inspected.Config.Env).toContain("HF_TOKEN=hf_secret");
    expect(inspected.Config.Env.some((entry) => entry.startsWith("HOME="))).toBe(false);
  });

  it("shows a paused container as unresponsive, and ends it all the same", async () => {
    const driver = makeDriver();
    const { ref, container } = await start(driver);
    await container.pause();
    expect((await onlyOne(driver)).state).toBe("unresponsive");
    await driver.stop(ref, NOW, never);
    expect(await driver.list(never)).toEqual([]);
  });

  it("tracks a container that was renamed", async () => {
    const driver = makeDriver();
    const { ref, container } = await start(driver);
    await container.rename({ name: `${rig.installation}-renamed` });
    expect((await onlyOne(driver)).ref.id).toBe(ref.id);
    await driver.stop(ref, NOW, never);
    expect(await driver.list(never)).toEqual([]);
  });

  it("tells the signal that ended a container", async () => {
    const driver = makeDriver();
    const { container } = await start(driver);
    await container.kill({ signal: "SIGKILL" });
    await until(async () => (await onlyOne(driver)).state === "exited");
    expect((await onlyOne(driver)).exit).toEqual({ code: 137, signal: "SIGKILL", outOfMemory: false });
  });

  it("tells when a container was killed for its memory", async () => {
    const driver = makeDriver();
    const spec = { ...rig.spec(), resources: { memoryBytes: 16 * 2 ** 20, memorySwapBytes: 16 * 2 ** 20 } };
    await start(driver, spec);
    const exited = async () => (await onlyOne(driver)).state === "exited";
    await until(exited, { timeoutMs: 15_000, what: "the out-of-memory kill" });
    expect((await onlyOne(driver)).exit?.outOfMemory).toBe(true);
  });

  it("removes what an earlier start left behind, and starts anew", async () => {
    const driver = makeDriver();
    const spec = rig.spec();
    const left = await rig.docker.createContainer({
      name: `${rig.installation}-${spec.replica}`,
      Image: spec.image!,
      Cmd: ["vllm"],
      Labels: spec.labels,
    });
    expect((await onlyOne(driver)).state).toBe("created");
    const { ref } = await start(driver, spec);
    expect(ref.id).not.toBe(left.id);
    expect((await onlyOne(driver)).state).toBe("running");
  });

  it("leaves a stranger's container of that name alone, and names it", async () => {
    const driver = makeDriver();
    const spec = rig.spec();
    const name = `${rig.installation}-${spec.replica}`;
    const strange = await rig.docker.createContainer({ name, Image: spec.image!, Cmd: ["vllm"] });
    const error = await failureOf(driver.start(spec, () => {}, never));
    expect(isAimError(error, "runtime_failed")).toBe(true);
    expect(String(error)).toContain(name);
    expect((await strange.inspect()).State.Status).toBe("created");
  });

  it("says that a paused container of that name is in the way", async () => {
    const driver = makeDriver();
    const spec = rig.spec();
    const { container } = await start(driver, spec);
    await container.pause();
    await expect(driver.start(spec, () => {}, never)).rejects.toThrow("is paused");
  });

  it("rejects for an image that cannot be had, with the cause as a code", async () => {
    const spec = { ...rig.spec(), image: "127.0.0.1:1/no/such:image" };
    const error = await failureOf(makeDriver().start(spec, () => {}, never));
    expect(isAimError(error, "runtime_failed")).toBe(true);
    expect(String(error)).toContain("127.0.0.1:1/no/such:image");
  });

  it("says which GPU is not there", async () => {
    const spec = { ...rig.spec(), gpus: ["0000:c1:00.0"] };
    const tree = await makeGpuTree([]);
    onTestFinished(() => tree.remove());
    const error = await failureOf(makeDriver({ devices: tree }).start(spec, () => {}, never));
    expect(String(error)).toContain("0000:c1:00.0");
    expect(isAimError(error) && error.data["failure"]).toBe("no_gpu_access");
  });

  it.skipIf(process.getuid?.() !== 0)("gives a container exactly the nodes of its GPUs", async () => {
    const tree = await makeGpuTree([
      { card: "card1", pciAddress: "0000:05:00.0", render: "renderD128" },
      { card: "card2", pciAddress: "0000:03:00.0", render: "renderD129" },
      { card: "card3", pciAddress: "0000:07:00.0", render: "renderD130" },
    ]);
    onTestFinished(() => tree.remove());
    for (const [node, minor] of [
      ["kfd", "7"],
      ["dri/renderD128", "8"],
      ["dri/renderD129", "9"],
      ["dri/renderD130", "10"],
    ] as const) {
      const path = join(tree.devRoot, node);
      execFileSync("mknod", [path, "c", "1", minor]);
      await chown(path, 0, node === "kfd" ? 44 : 109);
    }
    const driver = makeDriver({ devices: tree });
    expect((await driver.inventory(never)).map((gpu) => gpu.id)).toEqual([
      "0000:03:00.0",
      "0000:05:00.0",
      "0000:07:00.0",
    ]);
    const { inspected } = await start(driver, { ...rig.spec(), gpus: ["0000:07:00.0", "0000:03:00.0"] });
    const nodes = inspected.HostConfig.Devices?.map((device: { PathInContainer: string }) => device.PathInContainer);
    expect(nodes).toEqual(["/dev/kfd", "/dev/dri/renderD130", "/dev/dri/renderD129"]);
    expect(inspected.HostConfig.GroupAdd).toEqual(["44", "109"]);
    expect(inspected.HostConfig.Privileged).toBe(false);
  });

  it("leaves nothing when Docker cannot start what it made", async () => {
    const tree = await makeGpuTree([{ card: "card1", pciAddress: "0000:05:00.0", render: "renderD128" }]);
    onTestFinished(() => tree.remove());
    const driver = makeDriver({ devices: tree });
    const spec = { ...rig.spec(), gpus: ["0000:05:00.0"] };
    const error = await failureOf(driver.start(spec, () => {}, never));
    expect(isAimError(error) && error.data["failure"]).toBe("no_gpu_access");
    expect(await driver.list(never)).toEqual([]);
  });

  it("labels a container as its own, so that list finds it", async () => {
    const driver = makeDriver();
    const spec = rig.spec();
    await start(driver, { ...spec, labels: { ...spec.labels, [LABELS.installation]: "another" } });
    expect((await onlyOne(driver)).labels[LABELS.installation]).toBe(rig.installation);
  });

  it.each(["", "Upper", "-dash", "a/b", "a b"])("refuses the installation id %j", (installation) => {
    expect(() => rig.makeDriver({ installation })).toThrow("installation");
  });

  it.each(["host", "none", "container:other"])("refuses the network %j, where replicas have no address", (network) => {
    expect(() => rig.makeDriver({ network })).toThrow(network);
  });
});
