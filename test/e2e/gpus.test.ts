// Eight GPUs that are device nodes without a device behind them, on the real Docker Engine: who gets which, what a container
// can open, and what happens when memory does not come back. Two gateways share the engine.
import { chown } from "node:fs/promises";
import { join } from "node:path";
import Docker from "dockerode";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { GpuView } from "../../src/admin/view.ts";
import { LABELS } from "../../src/catalog/launch-spec.ts";
import { Seeded } from "../simulation/seeded.ts";
import { describeWithDocker, SOCKET } from "../support/docker.ts";
import { GatewayHome, type Gateway } from "../support/gateway-process.ts";
import { makeDeviceNodes, makeGpuTree, type FakeCard, type GpuTree } from "../support/gpu-tree.ts";
import { ensureStandInImage } from "../support/stand-in-image.ts";
import { until } from "../support/until.ts";

const IMAGE = "aim-engine-stand-in:test";
const GIB = 2 ** 30;
const VIDEO = 44;
const RENDER = 109;

const recipe = (name: string, gpus: number) => `
model: org/${name}
engine: vllm
image: ${IMAGE}
env: { AIM_SIM_LOAD_SECONDS: "0.1" }
hardware: MI300X
profiles: { ${gpus}_gpu: {} }
resources: { shm: 64m }
`;
const SIZES = { whale: 4, orca: 4, shark: 4, tuna: 2, cod: 2, eel: 1, crab: 1 } as const;
const MODELS = Object.keys(SIZES).map((name) => `org/${name}`);
const RECIPES = Object.fromEntries(Object.entries(SIZES).map(([name, gpus]) => [name, recipe(name, gpus)]));

/** PCI addresses, and render nodes in another order: the two index spaces differ as they do on real machines. */
const CARDS: readonly FakeCard[] = [3, 2, 0, 1, 7, 6, 4, 5].map((minor, index) => {
  const render = `renderD${128 + minor}`;
  return {
    card: `card${index}`,
    pciAddress: `0000:${(index + 1).toString(16).padStart(2, "0")}:00.0`,
    render,
    files: { numa_node: index < 4 ? "0" : "1" },
    kfd: [{ node: 2 + minor, render, properties: { hive_id: "2095653680343411291" } }],
  };
});

describeWithDocker("GPUs", () => {
  const docker = new Docker({ socketPath: SOCKET });
  let tree: GpuTree;
  const homes: GatewayHome[] = [];

  beforeAll(async () => {
    await ensureStandInImage({ tags: [IMAGE] });
    tree = await makeGpuTree(CARDS);
    makeDeviceNodes(tree, CARDS);
    await chown(join(tree.devRoot, "kfd"), 0, VIDEO);
    for (const { render = "" } of CARDS) await chown(join(tree.devRoot, "dri", render), 0, RENDER);
  });
  afterAll(async () => {
    for (const home of homes) await home.remove();
    const left = await containers(homes);
    await Promise.all(left.map(({ Id }) => docker.getContainer(Id).remove({ force: true, v: true })));
    await tree.remove();
  });

  async function makeHome(): Promise<GatewayHome> {
    const roots = `sysRoot: "${tree.sysRoot}", devRoot: "${tree.devRoot}", cache: none`;
    const config = `docker: { ${roots} }\nstopGrace: 5s\ngpuRecovery: 3s\nkeepAlive: 1h\n`;
    const home = await GatewayHome.make({ recipes: RECIPES, config });
    homes.push(home);
    return home;
  }

  async function containers(of: readonly GatewayHome[]): Promise<readonly Docker.ContainerInfo[]> {
    const all = await docker.listContainers({ all: true, filters: { label: [LABELS.installation] } });
    return all.filter(({ Labels }) => of.some(({ installation }) => Labels[LABELS.installation] === installation));
  }

  async function emptied(gateway: Gateway, home: GatewayHome): Promise<void> {
    for (const { name } of await gateway.replicas()) await act(gateway, "DELETE", `/api/replicas/${name}?force=true`);
    // What a killed gateway left behind runs nothing, and is removed when it has aged.
    const running = async () => (await containers([home])).filter(({ State }) => State === "running");
    await until(async () => (await running()).length === 0, { what: "the end of the containers" });
  }

  function act(gateway: Gateway, method: string, path: string, body?: object): Promise<Response> {
    return fetch(`${gateway.url}${path}`, {
      method,
      headers: { "content-type": "application/json" },
      signal: AbortSignal.timeout(20_000),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }

  /** The status of one short request, read to its end. */
  async function ask(gateway: Gateway, model: string): Promise<number> {
    const response = await gateway.chat({ model, max_tokens: 3 });
    await response.arrayBuffer();
    return response.status;
  }

  async function gpus(gateway: Gateway): Promise<readonly GpuView[]> {
    return (await gateway.get<{ gpus: readonly GpuView[] }>("/api/gpus")).gpus;
  }

  it(
    "go to containers with exactly their nodes, and the third model gets those of the idle one",
    { timeout: 90_000 },
    async () => {
      const home = await makeHome();
      const gateway = await home.start();
      expect([await ask(gateway, "org/whale"), await ask(gateway, "org/orca")]).toEqual([200, 200]);
      const inspect = async (name: string) => {
        const { Config, HostConfig } = await docker.getContainer(`${home.installation}-${name}-1`).inspect();
        const nodes = HostConfig.Devices?.map((device: { PathInContainer: string }) => device.PathInContainer);
        return { env: Config.Env, nodes: nodes?.sort(), groups: HostConfig.GroupAdd, labels: Config.Labels };
      };
      const [whale, orca] = [await inspect("whale"), await inspect("orca")];
      for (const one of [whale, orca]) {
        expect(one.env).toContain("HIP_VISIBLE_DEVICES=0,1,2,3");
        expect(one.groups).toEqual([String(VIDEO), String(RENDER)]);
      }
      const nodes = (minors: readonly number[]) => [...minors.map((minor) => `/dev/dri/renderD${minor}`), "/dev/kfd"];
      expect(whale.labels[LABELS.gpus]).toBe("0000:01:00.0,0000:02:00.0,0000:03:00.0,0000:04:00.0");
      expect(whale.nodes).toEqual(nodes([128, 129, 130, 131]));
      expect(orca.nodes).toEqual(nodes([132, 133, 134, 135]));
      expect(await ask(gateway, "org/shark")).toBe(200);
      expect((await inspect("shark")).nodes).toEqual(whale.nodes);
      const names = (await containers([home])).map(({ Names }) => Names[0] ?? "").sort();
      expect(names).toEqual(["orca", "shark"].map((name) => `/${home.installation}-${name}-1`));
      await emptied(gateway, home);
      await gateway.stop();
    },
  );

  it(
    "whose memory does not come back are quarantined, with the reason in the answer, and return",
    { timeout: 90_000 },
    async () => {
      const home = await makeHome();
      const gateway = await home.start();
      expect(await ask(gateway, "org/whale")).toBe(200);
      expect(await ask(gateway, "org/orca")).toBe(200);
      await tree.setUsed("0000:02:00.0", 64 * GIB);
      await act(gateway, "DELETE", "/api/replicas/whale-1");
      await act(gateway, "POST", "/api/replicas", { model: "org/orca", keepAlive: "forever" });
      const held = async () => (await gpus(gateway)).map(({ status }) => status);
      await until(async () => (await held()).includes("quarantined"), { timeoutMs: 15_000, what: "quarantine" });
      expect((await held()).filter((status) => status === "quarantined")).toHaveLength(1);
      const explained = await gateway.get<{ explanation: { verdict: string } }>("/api/explain?model=org/shark");
      expect(explained.explanation.verdict).toBe("evicts");
      await act(gateway, "POST", "/api/replicas", { model: "org/eel", on: ["0000:01:00.0"], keepAlive: "forever" });
      for (const gpu of ["0000:05:00.0", "0000:06:00.0"]) await tree.setUsed(gpu, 150 * GIB);
      await act(gateway, "DELETE", "/api/replicas/orca-1?force=true");
      await until(async () => (await held()).filter((one) => one === "quarantined").length === 3, {
        timeoutMs: 15_000,
        what: "three",
      });
      for (const gpu of ["0000:07:00.0", "0000:08:00.0"]) await tree.setUsed(gpu, 150 * GIB);
      await until(async () => (await held()).includes("foreign"), { timeoutMs: 15_000, what: "foreign use" });
      const refused = await gateway.chat({ model: "org/shark" });
      expect(refused.status).toBe(503);
      const { error } = (await refused.json()) as { error: { code: string; message: string } };
      expect(error.code).toBe("no_capacity");
      expect(error.message).toContain(
        "GPU 0000:02:00.0 is quarantined: 64 GiB of its memory are still in use 3 s after whale-1 was stopped",
      );
      for (const { pciAddress } of CARDS) await tree.setUsed(pciAddress, 297_140_224);
      await until(async () => (await held()).filter((one) => one === "free").length === 7, {
        timeoutMs: 20_000,
        what: "their return",
      });
      expect(await ask(gateway, "org/shark")).toBe(200);
      await emptied(gateway, home);
      await gateway.stop();
    },
  );

  it(
    "are never in two containers, whatever two gateways on one engine start and stop, killed at random",
    { timeout: 400_000 },
    async () => {
      const isOurs = (labels: Readonly<Record<string, string>>) =>
        homes.some(({ installation }) => installation === labels[LABELS.installation]);
      const watch = await watchUse(docker, isOurs);
      try {
        const lives = await Promise.all([1, 2].map(async (seed) => new Life(await makeHome(), new Seeded(seed), act)));
        await Promise.all(lives.map((life) => life.live(100)));
        for (const { gateway, home } of lives) await emptied(gateway, home);
        await until(() => watch.running === 0, { what: "the last end of a container" });
        for (const { gateway } of lives) {
          const areFree = async () => (await gpus(gateway)).every(({ status }) => status === "free");
          await until(areFree, { timeoutMs: 20_000, what: "free GPUs" });
        }
      } finally {
        watch.end();
      }
      expect(watch.violations).toEqual([]);
      expect(watch.starts).toBeGreaterThan(25);
    },
  );
});

type Act = (gateway: Gateway, method: string, path: string, body?: object) => Promise<Response>;

/** One gateway that is told to start and stop at random, and is killed now and then. */
class Life {
  readonly home: GatewayHome;
  readonly #random: Seeded;
  readonly #act: Act;
  #gateway: Gateway | undefined;

  constructor(home: GatewayHome, random: Seeded, act: Act) {
    this.home = home;
    this.#random = random;
    this.#act = act;
  }

  get gateway(): Gateway {
    if (this.#gateway === undefined) throw new Error("the gateway is not running");
    return this.#gateway;
  }

  async live(steps: number): Promise<void> {
    this.#gateway = await this.home.start();
    for (let step = 0; step < steps; step++) {
      const dice = this.#random.upTo(20);
      if (dice === 0) await this.#killed();
      else if (dice < 11) await this.#launch();
      else await this.#stop();
    }
  }

  /** Of something that does not run here yet. Whoever gets no room soon gives up. */
  async #launch(): Promise<void> {
    const running = new Set((await this.gateway.replicas()).map(({ model }) => model));
    const model = this.#random.maybe(MODELS.filter((one) => !running.has(one)));
    if (model === undefined) return;
    const answer = fetch(`${this.gateway.url}/api/replicas`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model }),
      signal: AbortSignal.timeout(1_000),
    });
    await answer.then((response) => response.arrayBuffer()).catch(() => undefined);
    // Most are left alone until they run; the next step may meet the others on their way.
    if (this.#random.upTo(3) > 0) await this.#settled(model);
  }

  /** With two gateways on one engine, a start may have to be tried more than once. */
  async #settled(model: string): Promise<void> {
    await until(() => this.#hasSettled(model), { timeoutMs: 60_000, what: `an end of the start of ${model}` }).catch(
      async (error: unknown) => {
        const replicas = (await this.gateway.replicas()).map(
          ({ name, state, reason }) => `${name} ${state}: ${reason}`,
        );
        throw new Error(replicas.join("; "), { cause: error });
      },
    );
  }

  async #hasSettled(model: string): Promise<boolean> {
    const states = (await this.gateway.replicas()).filter((one) => one.model === model).map(({ state }) => state);
    return states.every((state) => ["ready", "draining", "failed"].includes(state));
  }

  async #stop(): Promise<void> {
    const replica = this.#random.maybe(await this.gateway.replicas());
    if (replica !== undefined) await this.#act(this.gateway, "DELETE", `/api/replicas/${replica.name}?force=true`);
  }

  async #killed(): Promise<void> {
    await this.gateway.kill();
    this.#gateway = await this.home.start();
  }
}

interface Use {
  readonly violations: readonly string[];
  readonly starts: number;
  readonly running: number;
  end(): void;
}

/** Follows the engine's own account of what runs: starts and ends in the order in which they happened. */
async function watchUse(docker: Docker, isOurs: (labels: Readonly<Record<string, string>>) => boolean): Promise<Use> {
  const events = await docker.getEvents({ filters: { type: ["container"], event: ["start", "die"] } });
  const running = new Map<string, readonly string[]>();
  const violations: string[] = [];
  let starts = 0;
  let rest = "";
  const read = (line: string) => {
    const { Action: action, Actor: actor } = JSON.parse(line) as {
      Action: string;
      Actor: { ID: string; Attributes: Record<string, string> };
    };
    if (!isOurs(actor.Attributes)) return;
    if (action === "die") return void running.delete(actor.ID);
    const gpus = (actor.Attributes[LABELS.gpus] ?? "").split(",").filter(Boolean);
    for (const [other, theirs] of running) {
      const shared = gpus.filter((gpu) => theirs.includes(gpu));
      if (shared.length > 0) violations.push(`${actor.ID} and ${other} both have ${shared.join(", ")}`);
    }
    running.set(actor.ID, gpus);
    starts += 1;
  };
  events.on("data", (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.trim() !== "") read(line);
  });
  return {
    violations,
    get starts() {
      return starts;
    },
    get running() {
      return running.size;
    },
    end() {
      events.on("error", () => undefined);
      if ("destroy" in events && typeof events.destroy === "function") events.destroy();
    },
  };
}
