// Where cold starts are measured: a gateway of its own, the way to Docker that is listened to, GPUs that are but files.
import { GatewayHome, type Gateway } from "../../test/support/gateway-process.ts";
import { makeDeviceNodes, makeGpuTree, type FakeCard } from "../../test/support/gpu-tree.ts";
import { ensureStandInImage } from "../../test/support/stand-in-image.ts";
import { until } from "../../test/support/until.ts";
import { startDockerTap, type DockerTap } from "./docker-tap.ts";

/** `docker-gpus` as `docker`, with four of eight GPUs, whose device nodes only root can make. */
export const SETUPS = ["process", "docker", "docker-gpus"] as const;
export type Setup = (typeof SETUPS)[number];

/** What is started. */
export interface Load {
  readonly seconds: number;
  /** So many models, each of which loads a little longer than the one before. */
  readonly models: number;
}

export interface Site extends AsyncDisposable {
  readonly gateway: Gateway;
  /** Absent where Docker has no part in it. */
  readonly tap: DockerTap | undefined;
  /** What can be asked for. */
  readonly models: readonly string[];
}

const SOCKET = "/var/run/docker.sock";
/** Not a name that a real image could have. */
const IMAGE = "aim-engine-stand-in:test";
/** So that loads do not end in step with whatever looks for their end. */
const LONGER_SECONDS = 0.017;

const CARDS: readonly FakeCard[] = Array.from({ length: 8 }, (_, index) => {
  const render = `renderD${128 + index}`;
  return { card: `card${index}`, pciAddress: `0000:0${index + 1}:00.0`, render, kfd: [{ node: 2 + index, render }] };
});

/** Nothing runs there yet. */
export async function openSite(setup: Setup, load: Load): Promise<Site> {
  await using opened = new AsyncDisposableStack();
  const tap = setup === "process" ? undefined : await startDockerTap(SOCKET);
  if (tap !== undefined) {
    opened.defer(() => tap.close());
    await ensureStandInImage({ tags: [IMAGE] });
  }
  const devices = setup === "docker-gpus" ? await makeGpus(opened) : "";
  const models = Array.from({ length: load.models }, (_, index) => `cold-${index}`);
  const recipes = models.map((model, index) => [model, recipeOf(model, setup, load.seconds + index * LONGER_SECONDS)]);
  const home = await GatewayHome.make({
    recipes: Object.fromEntries(recipes),
    config: tap === undefined ? "" : `docker: { socket: "${tap.socketPath}", cache: none${devices} }\n`,
  });
  opened.defer(() => home.remove());
  const gateway = await home.start();
  opened.defer(async () => void (await gateway.stop()));
  await until(() => gateway.lines.some(({ msg }) => msg === "can serve"), { what: "what it can serve" });
  // The client's first request of all loads what it sends requests with, which is no part of a cold start.
  await gateway.models();
  const closing = opened.move();
  return { gateway, tap, models, [Symbol.asyncDispose]: () => closing.disposeAsync() };
}

/** Settings of `docker` that make the gateway see them. */
async function makeGpus(opened: AsyncDisposableStack): Promise<string> {
  const tree = await makeGpuTree(CARDS);
  opened.defer(() => tree.remove());
  makeDeviceNodes(tree, CARDS);
  return `, sysRoot: "${tree.sysRoot}", devRoot: "${tree.devRoot}"`;
}

function recipeOf(model: string, setup: Setup, loadSeconds: number): string {
  const env = `env: { AIM_SIM_LOAD_SECONDS: "${loadSeconds.toFixed(3)}" }`;
  if (setup === "process") return `model: ${model}\nengine: sim\nruntime: process\n${env}\nprofiles: { 0_gpu: {} }\n`;
  const gpus = setup === "docker-gpus" ? 4 : 0;
  return `model: ${model}\nengine: vllm\nimage: ${IMAGE}\n${env}\nprofiles: { ${gpus}_gpu: {} }\nresources: { shm: 64m }\n`;
}
