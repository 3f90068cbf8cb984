// What containers get of the machine, as the engine itself shows it.
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, expect, it, onTestFinished } from "vitest";
import type { LaunchSpec } from "../../../src/catalog/launch-spec.ts";
import { isAimError, type AimError } from "../../../src/errors.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import type { DockerDriver, DockerDriverOptions } from "../../../src/runtime/docker/driver.ts";
import { DOCKER_LABELS } from "../../../src/runtime/docker/labels.ts";
import { createReadinessProbe } from "../../../src/runtime/readiness.ts";
import { describeWithDocker, makeDockerRig, type DockerRig } from "../../support/docker.ts";
import { makeDeviceNodes, makeGpuTree } from "../../support/gpu-tree.ts";
import { until } from "../../support/until.ts";

describeWithDocker("a container of the docker driver", () => {
  const never = new AbortController().signal;
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

  async function start(driver: DockerDriver, spec: Partial<LaunchSpec> = {}) {
    const ref = await driver.start({ ...rig.spec(), ...spec }, () => {}, never);
    return { ref, inspected: await rig.docker.getContainer(ref.id).inspect() };
  }

  async function refusal(driver: DockerDriver, spec: Partial<LaunchSpec>): Promise<AimError> {
    const error: unknown = await start(driver, spec).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(await driver.list(never)).toEqual([]);
    if (isAimError(error)) return error;
    throw new Error("it was not refused", { cause: error });
  }

  async function folder(): Promise<string> {
    const path = await mkdtemp(join(tmpdir(), "aim-mount-"));
    onTestFinished(() => rm(path, { recursive: true, force: true }));
    return path;
  }

  async function volume(): Promise<string> {
    const name = `${rig.installation}-${randomUUID().slice(0, 8)}`;
    onTestFinished(async () => {
      await rig.removeAll();
      await rig.docker.getVolume(name).remove();
    });
    return Promise.resolve(name);
  }

  it("sees the folders of its recipe, to read or to write", async () => {
    const source = await folder();
    const mounts = [
      { source, target: "/models", readOnly: true },
      { source, target: "/scratch", readOnly: false },
    ];
    const { inspected } = await start(makeDriver(), { mounts });
    const seen = inspected.Mounts.map(({ Type, Source, Destination, RW }) => [Type, Source, Destination, RW]);
    expect(seen).toEqual(
      expect.arrayContaining([
        ["bind", source, "/models", false],
        ["bind", source, "/scratch", true],
      ]),
    );
  });

  it("is not made where a folder of its recipe is missing, and none is made", async () => {
    const source = join(await folder(), "missing");
    const error = await refusal(makeDriver(), { mounts: [{ source, target: "/models", readOnly: true }] });
    expect(error).toMatchObject({ code: "runtime_failed", data: { failure: "bad_argument" } });
    expect(error.message).toContain(`is to see ${source}, which Docker's machine does not have; make that folder`);
    await expect(rm(source)).rejects.toThrow("ENOENT");
  });

  it("keeps its caches on a volume that outlives it, and knows what it runs", async () => {
    const cache = await volume();
    const driver = makeDriver({ cache });
    const { ref, inspected } = await start(driver);
    expect(inspected.Mounts.map(({ Name, Destination }) => [Name, Destination])).toEqual([[cache, "/root/.cache"]]);
    const key = inspected.Image.replace("sha256:", "").slice(0, 12);
    expect(inspected.Config.Env).toContain(`VLLM_CACHE_ROOT=/root/.cache/aim-engine/${key}-cpu/vllm`);
    const [listed] = await driver.list(never);
    expect(listed?.imageId).toBe(inspected.Image);
    expect(Math.abs(systemClock.wallNow() - (listed?.createdAt ?? 0))).toBeLessThan(60_000);
    await driver.stop(ref, { graceMs: 0, reason: "the test looks at what is left" }, never);
    await expect(rig.docker.getVolume(cache).inspect()).resolves.toMatchObject({ Name: cache });
  });

  it("has the capabilities of its recipe and is never privileged", async () => {
    const { inspected } = await start(makeDriver(), { capabilities: ["SYS_PTRACE"] });
    expect(inspected.HostConfig).toMatchObject({ CapAdd: ["SYS_PTRACE"], Privileged: false, PidMode: "" });
  });

  it("asks the engine for CDI devices by name where it is told to", async () => {
    const cards = [
      { card: "card1", pciAddress: "0000:05:00.0", render: "renderD128" },
      { card: "card2", pciAddress: "0000:03:00.0", render: "renderD129" },
    ];
    const tree = await makeGpuTree(cards);
    onTestFinished(() => tree.remove());
    makeDeviceNodes(tree, cards);
    const driver = makeDriver({ devices: tree, gpuAccess: "cdi" });
    // This engine may be too old to know CDI: what matters here is that nothing is given instead.
    const error = await refusal(driver, { gpus: ["0000:05:00.0"], gpuKind: { vendor: "amd" } });
    expect(error.message).toMatch(/device driver|CDI|cdi/);
  });

  it("tells its limit of memory, and none where it has none", async () => {
    const driver = makeDriver();
    const limited = await start(driver, { resources: { memoryBytes: 512 * 2 ** 20 } });
    expect((await driver.stats(limited.ref, never)).memoryLimitBytes).toBe(512 * 2 ** 20);
    const free = await start(driver);
    expect(await driver.stats(free.ref, never)).not.toHaveProperty("memoryLimitBytes");
  });

  it("listens on a port of the loopback that nobody else has, on the host's network", async () => {
    const driver = makeDriver({ hostPorts: "28970-28999" });
    const starts = await Promise.all([start(driver, { network: "host" }), start(driver, { network: "host" })]);
    const ports = starts.map(({ inspected }) => inspected.Config.Labels[DOCKER_LABELS.port]);
    expect(new Set(ports).size).toBe(2);
    const listed = await driver.list(never);
    const addresses = new Set(listed.map(({ address }) => address?.href));
    expect(addresses).toEqual(new Set(ports.map((port) => `http://127.0.0.1:${port}/`)));
    const probe = createReadinessProbe({ clock: systemClock });
    onTestFinished(() => probe.close());
    for (const { address } of listed) {
      const isReady = async () => (await probe.isReady(address!, rig.spec().readiness, never)).ready;
      await until(isReady, { timeoutMs: 30_000, what: `an answer at ${address?.href}` });
    }
  });

  it("passes over a port that something else listens on, on the host's network", async () => {
    const server = createServer();
    onTestFinished(() => void server.close());
    await new Promise<void>((resolve) => server.listen(28_960, "127.0.0.1", resolve));
    const { inspected } = await start(makeDriver({ hostPorts: "28960-28961" }), { network: "host" });
    expect(inspected.Config.Labels[DOCKER_LABELS.port]).toBe("28961");
  });

  it("is refused the host's network where its port would be published", async () => {
    const error = await refusal(makeDriver({ publish: true }), { network: "host" });
    expect(error.message).toMatch(/docker\.publish.*recipe/);
  });
});
