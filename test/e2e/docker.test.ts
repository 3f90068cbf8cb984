// The product as an operator runs it: the real gateway, real containers of the stand-in for rocm/vllm, and GPUs that are
// device nodes without a device behind them.
import Docker from "dockerode";
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import type { ReplicaView } from "../../src/admin/view.ts";
import { LABELS } from "../../src/catalog/launch-spec.ts";
import { describeWithDocker, SOCKET } from "../support/docker.ts";
import { GatewayHome, type Gateway } from "../support/gateway-process.ts";
import { makeDeviceNodes, makeGpuTree, type GpuTree } from "../support/gpu-tree.ts";
import { ensureStandInImage } from "../support/stand-in-image.ts";
import { until } from "../support/until.ts";

/** Takes all four GPUs. */
const recipe = (model: string, loadSeconds: number, gpus = 4) => `
model: ${model}
engine: vllm
image: rocm/vllm:latest
env: { AIM_SIM_LOAD_SECONDS: "${loadSeconds}" }
profiles: { ${gpus}_gpu: {} }
resources: { shm: 64m }
`;
const RECIPES = {
  first: recipe("org/first", 1),
  second: recipe("org/second", 1),
  small: recipe("org/small", 1, 0),
  other: recipe("org/other", 1, 0),
  slow: recipe("org/slow", 6, 0),
  endless: recipe("org/endless", 600, 0),
};
const CARDS = [0, 1, 2, 3].map((index) => ({
  card: `card${index}`,
  pciAddress: `0000:0${index + 1}:00.0`,
  render: `renderD${128 + index}`,
}));

describeWithDocker("a gateway with Docker", () => {
  const docker = new Docker({ socketPath: SOCKET });
  let tree: GpuTree;
  let home: GatewayHome;
  let gateway: Gateway;

  beforeAll(async () => {
    await ensureStandInImage();
    tree = await makeGpuTree(CARDS);
    makeDeviceNodes(tree, CARDS);
    const config = `docker: { sysRoot: "${tree.sysRoot}", devRoot: "${tree.devRoot}" }\nstopGrace: 5s\n`;
    home = await GatewayHome.make({ recipes: RECIPES, config });
    gateway = await home.start();
  });
  beforeEach(async () => {
    for (const { name } of await gateway.replicas()) await stop(name);
  });
  afterAll(async () => {
    await home.remove();
    const left = await containers();
    await Promise.all(left.map(({ Id }) => docker.getContainer(Id).remove({ force: true, v: true })));
    await tree.remove();
    // The name belongs to the real thing; only the tag goes, the image stays for the next run.
    await docker.getImage("rocm/vllm:latest").remove({ noprune: true });
  });

  async function stop(name: string): Promise<void> {
    await fetch(`${gateway.url}/api/replicas/${name}?force=true`, { method: "DELETE" });
  }

  function containers(): Promise<Docker.ContainerInfo[]> {
    return docker.listContainers({ all: true, filters: { label: [`${LABELS.installation}=${home.installation}`] } });
  }

  async function ids(): Promise<readonly string[]> {
    return (await containers()).map(({ Id }) => Id).sort();
  }

  /** The status of one short request, read to its end. */
  async function ask(model: string): Promise<number> {
    const response = await gateway.chat({ model, max_tokens: 3 });
    await response.arrayBuffer();
    return response.status;
  }

  function askAll(model: string, count: number): Promise<readonly number[]> {
    return Promise.all(Array.from({ length: count }, () => ask(model)));
  }

  function untilState(model: string, state: string): Promise<ReplicaView> {
    const find = async () => (await gateway.replicas()).find((one) => one.model === model && one.state === state);
    return until(find, { timeoutMs: 30_000, what: `${model} ${state}` });
  }

  it(
    "starts one container for a hundred first requests, and evicts it for a hundred of another model",
    { timeout: 90_000 },
    async () => {
      const first = askAll("org/first", 100);
      await untilState("org/first", "ready");
      const [container] = await containers();
      expect(container?.Names).toEqual([`/${home.installation}-first-1`]);
      const second = askAll("org/second", 100);
      expect([...new Set([...(await first), ...(await second)])]).toEqual([200]);
      expect((await containers()).map(({ Names }) => Names)).toEqual([[`/${home.installation}-second-1`]]);
    },
  );

  it(
    "gives a container exactly the devices of its GPUs, the production command and its labels",
    { timeout: 60_000 },
    async () => {
      await ask("org/first");
      const [{ Id } = { Id: "" }] = await containers();
      const { Config, HostConfig } = await docker.getContainer(Id).inspect();
      expect(Config.Entrypoint).toEqual(["vllm", "serve"]);
      expect(Config.Cmd.slice(0, 5)).toEqual(["org/first", "--host", "0.0.0.0", "--port", "8000"]);
      expect(Config.Env).toContain("HIP_VISIBLE_DEVICES=0,1,2,3");
      expect(HostConfig.Devices?.map((device: { PathInContainer: string }) => device.PathInContainer).sort()).toEqual([
        "/dev/dri/renderD128",
        "/dev/dri/renderD129",
        "/dev/dri/renderD130",
        "/dev/dri/renderD131",
        "/dev/kfd",
      ]);
      expect(Config.Labels).toMatchObject({
        [LABELS.model]: "org/first",
        [LABELS.gpus]: CARDS.map((card) => card.pciAddress).join(","),
      });
      const { gpus } = await gateway.get<{ gpus: readonly { id: string; model?: string }[] }>("/api/gpus");
      expect(gpus.map((gpu) => gpu.model)).toEqual(Array.from({ length: 4 }, () => "org/first"));
    },
  );

  it("serves the openai SDK from a container, cold and warm", { timeout: 60_000 }, async () => {
    const openai = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "unused" });
    const messages = [{ role: "user" as const, content: "Hello" }];
    let cold = "";
    for await (const chunk of await openai.chat.completions.create({ model: "org/small", messages, stream: true })) {
      cold += chunk.choices[0]?.delta.content ?? "";
    }
    const warm = await openai.chat.completions.create({ model: "org/small", messages });
    expect(warm.choices[0]?.message.content).toBe(cold);
  });

  it("killed with two ready containers and one loading, takes all three over", { timeout: 90_000 }, async () => {
    await Promise.all([ask("org/small"), ask("org/other")]);
    const abandoned = ask("org/slow").catch(() => 0);
    await untilState("org/slow", "loading");
    const before = await ids();
    await gateway.kill();
    await abandoned;
    gateway = await home.start();
    expect(await Promise.all([ask("org/small"), ask("org/other"), ask("org/slow")])).toEqual([200, 200, 200]);
    expect(await ids()).toEqual(before);
    expect(before).toHaveLength(3);
  });

  it("told to stop, leaves its containers to the next gateway", { timeout: 60_000 }, async () => {
    await ask("org/small");
    const before = await ids();
    expect(await gateway.stop()).toBe(0);
    gateway = await home.start();
    expect(await ask("org/small")).toBe(200);
    expect(await ids()).toEqual(before);
  });

  it("answers within a second when a container exits while it loads", { timeout: 60_000 }, async () => {
    const request = gateway.chat({ model: "org/endless" });
    const replica = await untilState("org/endless", "loading");
    await docker.getContainer(replica.backend ?? "").kill();
    const killedAt = performance.now();
    const response = await request;
    expect(performance.now() - killedAt).toBeLessThan(1_000);
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ error: { code: "model_start_failed" } });
  });

  it(
    "starts a new container when a ready one was removed by hand, and no request fails",
    { timeout: 60_000 },
    async () => {
      await ask("org/small");
      const replica = await untilState("org/small", "ready");
      await docker.getContainer(replica.backend ?? "").remove({ force: true });
      expect(await askAll("org/small", 5)).toEqual([200, 200, 200, 200, 200]);
      expect(await ids()).not.toContain(replica.backend);
    },
  );

  it("streams a container's log and removes the container on stop", { timeout: 60_000 }, async () => {
    await ask("org/small");
    const replica = await untilState("org/small", "ready");
    const log = await (await fetch(`${gateway.url}/api/replicas/${replica.name}/logs?tail=200`)).text();
    expect(log).toContain("Application startup complete.");
    await stop(replica.name);
    expect(await ids()).toEqual([]);
  });
});
