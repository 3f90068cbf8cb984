// What the packaged gateway needs around it to be tried on this machine: its image, GPUs that are device nodes without a device,
// and deploy/config.yaml with only that changed which would meet another gateway or the real vLLM.
import { randomUUID } from "node:crypto";
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import Docker from "dockerode";
import { parse, stringify } from "yaml";
import { LABELS } from "../../src/catalog/launch-spec.ts";
import { SOCKET } from "./docker.ts";
import { ensureGatewayImage } from "./gateway-image.ts";
import { makeDeviceNodes, makeGpuTree, type GpuTree } from "./gpu-tree.ts";
import { ensureStandInImage } from "./stand-in-image.ts";

export const ROOT = resolve(import.meta.dirname, "../..");
export const KEY = "a-key-of-the-tests";

const ENGINE_IMAGE = "aim-engine-stand-in:test";
const CARDS = [0, 1, 2, 3, 4, 5, 6, 7].map((index) => ({
  card: `card${index}`,
  pciAddress: `0000:0${index + 1}:00.0`,
  render: `renderD${128 + index}`,
}));

export interface Package {
  readonly docker: Docker;
  /** Also the name of the replicas' network. */
  readonly installation: string;
  readonly image: string;
  /** Holds config.yaml. */
  readonly folder: string;
  readonly gpus: GpuTree;
  /** Seen at the same place in the container, since the engine is told of device nodes by path. */
  readonly gpuFolder: string;
  readonly socketGroup: number;
  /** Containers of models. */
  replicas(): Promise<readonly Docker.ContainerInspectInfo[]>;
  /** With all containers, volumes and networks of it. */
  remove(): Promise<void>;
}

export async function makePackage(): Promise<Package> {
  const image = await ensureGatewayImage();
  await ensureStandInImage({ tags: [ENGINE_IMAGE] });
  const docker = new Docker({ socketPath: SOCKET });
  const installation = `deploy-${randomUUID().slice(0, 8)}`;
  const gpus = await makeGpuTree(CARDS);
  makeDeviceNodes(gpus, CARDS);
  const gpuFolder = dirname(gpus.sysRoot);
  const folder = await mkdtemp(join(tmpdir(), "aim-engine-deploy-"));
  // The gateway's user is not the one who made them.
  await Promise.all([gpuFolder, folder].map((one) => chmod(one, 0o755)));
  await writeFile(join(folder, "config.yaml"), await configFor(installation, gpus));

  const labelled = { all: true, filters: { label: [`${LABELS.installation}=${installation}`] } };
  const replicas = async () =>
    Promise.all((await docker.listContainers(labelled)).map(({ Id }) => docker.getContainer(Id).inspect()));

  async function remove(): Promise<void> {
    const containers = await docker.listContainers({ all: true, filters: { name: [installation] } });
    await Promise.all(containers.map(({ Id }) => docker.getContainer(Id).remove({ force: true, v: true })));
    const networks = await docker.listNetworks({ filters: { name: [installation] } });
    await Promise.all(networks.map(({ Id }) => docker.getNetwork(Id).remove()));
    const { Volumes: volumes } = await docker.listVolumes({ filters: { name: [installation] } });
    await Promise.all(volumes.map(({ Name }) => docker.getVolume(Name).remove()));
    await Promise.all([gpus.remove(), rm(folder, { recursive: true })]);
  }

  const { gid: socketGroup } = await stat(SOCKET);
  return { docker, installation, image, folder, gpus, gpuFolder, socketGroup, replicas, remove };
}

async function configFor(installation: string, { sysRoot, devRoot }: GpuTree): Promise<string> {
  const shipped: unknown = parse(await readFile(join(ROOT, "deploy/config.yaml"), "utf8"));
  if (typeof shipped !== "object" || shipped === null || !("docker" in shipped)) throw new Error("no configuration");
  const docker = { ...Object(shipped.docker), network: installation, cache: `${installation}-cache`, sysRoot, devRoot };
  const images = { vllm: ENGINE_IMAGE };
  return stringify({ ...shipped, installation, images, env: { AIM_SIM_LOAD_SECONDS: "0.5" }, stopGrace: "5s", docker });
}
