// Idle replicas that sleep, and replicas that share a GPU, on the real Docker Engine with a GPU that is a device node only.
import Docker from "dockerode";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { LABELS } from "../../src/catalog/launch-spec.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { describeWithDocker, SOCKET } from "../support/docker.ts";
import { GatewayHome, type Gateway } from "../support/gateway-process.ts";
import { makeDeviceNodes, makeGpuTree, type FakeCard, type GpuTree } from "../support/gpu-tree.ts";
import { ensureStandInImage } from "../support/stand-in-image.ts";
import { until } from "../support/until.ts";

const IMAGE = "aim-engine-stand-in:test";
const GIB = 2 ** 30;
const GPU = "0000:01:00.0";
const LOAD_SECONDS = 20;

const CARDS: readonly FakeCard[] = [
  { card: "card0", pciAddress: GPU, render: "renderD128", kfd: [{ node: 2, render: "renderD128" }] },
];

const drowsy = (level: 1 | 2) => `
model: org/drowsy-${level}
engine: vllm
image: ${IMAGE}
env: { AIM_SIM_LOAD_SECONDS: "${LOAD_SECONDS}", AIM_SIM_SLEEP_SECONDS: "0.3", AIM_SIM_WAKE_SECONDS: "0.1" }
hardware: MI300X
profiles: { 1_gpu: {} }
resources: { shm: 64m }
idle: [{ after: 2s, do: sleep, level: ${level} }, { after: 10m, do: stop }]
${level === 1 ? "sleepMemory: 1g" : ""}
`;

const sharer = (name: string) => `
model: org/${name}
engine: vllm
image: ${IMAGE}
env: { AIM_SIM_LOAD_SECONDS: "1" }
hardware: MI300X
profiles: { 1_gpu: { gpuFraction: 0.5 } }
resources: { shm: 64m }
keepAlive: 1h
`;

describeWithDocker("replicas of one GPU", () => {
  const docker = new Docker({ socketPath: SOCKET });
  let tree: GpuTree;

  beforeAll(async () => {
    await ensureStandInImage({ tags: [IMAGE] });
    tree = await makeGpuTree(CARDS);
    makeDeviceNodes(tree, CARDS);
  });
  afterAll(() => tree.remove());

  async function makeHome(recipes: Readonly<Record<string, string>>): Promise<GatewayHome> {
    await tree.setUsed(GPU, GIB / 4);
    const roots = `sysRoot: "${tree.sysRoot}", devRoot: "${tree.devRoot}", cache: none`;
    const home = await GatewayHome.make({ recipes, config: `docker: { ${roots} }\nstopGrace: 5s\n` });
    onTestFinished(async () => {
      await home.remove();
      for (const { Id } of await containers(home)) await docker.getContainer(Id).remove({ force: true, v: true });
    });
    return home;
  }

  function containers(home: GatewayHome): Promise<Docker.ContainerInfo[]> {
    return docker.listContainers({ all: true, filters: { label: [`${LABELS.installation}=${home.installation}`] } });
  }

  async function log(home: GatewayHome, replica: string): Promise<string> {
    const container = docker.getContainer(`${home.installation}-${replica}`);
    return (await container.logs({ stdout: true, stderr: true, tail: 500 })).toString();
  }

  async function ask(gateway: Gateway, model: string): Promise<{ readonly status: number; readonly ms: number }> {
    const began = systemClock.now();
    const response = await gateway.chat({ model, max_tokens: 3 });
    await response.arrayBuffer();
    return { status: response.status, ms: systemClock.now() - began };
  }

  async function states(gateway: Gateway): Promise<readonly string[]> {
    return (await gateway.replicas()).map(({ name, state }) => `${name} ${state}`);
  }

  /** Waits until it sleeps; its memory comes back a moment after its engine says so. */
  async function fallsAsleep(gateway: Gateway, home: GatewayHome, name: string): Promise<void> {
    await until(async () => (await log(home, name)).includes("It is asleep"), { timeoutMs: 15_000, what: "its sleep" });
    expect(await states(gateway)).toEqual([`${name} dozing`]);
    await tree.setUsed(GPU, 8 * GIB);
    const isAsleep = async () => (await states(gateway)).includes(`${name} sleeping`);
    await until(isAsleep, { timeoutMs: 15_000, what: "the return of its memory" });
  }

  it.each([1, 2] as const)(
    "sleep at level %i when they are idle, are woken once for all, far quicker than they start, and get no request before",
    async (level) => {
      const name = `drowsy-${level}-1`;
      const home = await makeHome({ [`drowsy-${level}`]: drowsy(level) });
      const gateway = await home.start();
      const cold = await ask(gateway, `org/drowsy-${level}`);
      expect(cold.status).toBe(200);
      await tree.setUsed(GPU, 170 * GIB);
      await fallsAsleep(gateway, home, name);
      const answers = await Promise.all(Array.from({ length: 20 }, () => ask(gateway, `org/drowsy-${level}`)));
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
      const said = await log(home, name);
      expect(said.match(/It is awake\./g)).toHaveLength(1);
      expect(said).not.toContain("was asked for in its sleep");
      const first = Math.min(...answers.map(({ ms }) => ms));
      expect(cold.ms / first, `${cold.ms} ms cold, ${first} ms woken`).toBeGreaterThan(10);
      expect(await containers(home)).toHaveLength(1);
    },
    90_000,
  );

  it("are taken over asleep by the next gateway, which asks them for nothing before it wakes them", async () => {
    const home = await makeHome({ "drowsy-1": drowsy(1) });
    const before = await home.start();
    expect((await ask(before, "org/drowsy-1")).status).toBe(200);
    await tree.setUsed(GPU, 170 * GIB);
    await fallsAsleep(before, home, "drowsy-1-1");
    await before.kill();
    const after = await home.start();
    const isAsleep = async () => (await states(after)).includes("drowsy-1-1 sleeping");
    await until(isAsleep, { timeoutMs: 15_000, what: "the adoption" });
    expect((await ask(after, "org/drowsy-1")).status).toBe(200);
    expect(await log(home, "drowsy-1-1")).not.toContain("was asked for in its sleep");
    expect(await containers(home)).toHaveLength(1);
  }, 90_000);

  it("share it when their recipes say so, and load one after the other", async () => {
    const home = await makeHome({ half: sharer("half"), other: sharer("other") });
    const gateway = await home.start();
    const both = Promise.all([ask(gateway, "org/half"), ask(gateway, "org/other")]);
    let mostLoading = 0;
    await until(
      async () => {
        const now = await states(gateway);
        mostLoading = Math.max(mostLoading, now.filter((state) => !state.endsWith("ready")).length);
        return now.filter((state) => state.endsWith("ready")).length === 2;
      },
      { timeoutMs: 30_000, what: "both" },
    );
    expect(mostLoading).toBe(1);
    expect((await both).map(({ status }) => status)).toEqual([200, 200]);
    const shared = (await containers(home)).map(({ Labels }) => [Labels[LABELS.gpus], Labels[LABELS.share]]);
    expect(shared).toEqual([
      [GPU, "0.5"],
      [GPU, "0.5"],
    ]);
  }, 60_000);
});
