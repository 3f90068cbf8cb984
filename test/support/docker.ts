// Tests that need a real Docker Engine, and a driver on it under an installation id that nobody else uses.
import { randomUUID } from "node:crypto";
import Docker from "dockerode";
import { describe } from "vitest";
import { LABELS, LABEL_SCHEMA, type LaunchSpec } from "../../src/catalog/launch-spec.ts";
import { messageOf } from "../../src/errors.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { DockerDriver, type DockerDriverOptions } from "../../src/runtime/docker/driver.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { ensureStandInImage } from "./stand-in-image.ts";

export const SOCKET = "/var/run/docker.sock";
/** Not a name that a real image could have here. */
const IMAGE = "aim-engine-stand-in:test";
const MODEL = "test/model";

/** Why Docker cannot be used here; undefined when it can. */
const problem = await new Docker({ socketPath: SOCKET }).ping().then(() => undefined, messageOf);

/** A suite that needs Docker. Without it the suite says that it did not run; where CI is set the file fails instead. */
export function describeWithDocker(name: string, body: () => void): void {
  const suite = problem === undefined ? describe : describe.skip;
  if (problem !== undefined) {
    const text = `${name} needs Docker, which cannot be used here: ${problem}`;
    if (process.env["CI"] !== undefined) throw new Error(text);
    process.stderr.write(`\nNOT RUN: ${text}\n`);
  }
  suite(problem === undefined ? name : `${name} (NOT RUN: no Docker)`, body);
}

export interface DockerRig {
  readonly installation: string;
  /** The engine itself, to do behind the driver's back what people do by hand. */
  readonly docker: Docker;
  makeDriver(options?: Partial<DockerDriverOptions>): DockerDriver;
  /** The sim engine, which loads at once. */
  spec(options?: {
    readonly replica?: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly argv?: readonly string[];
  }): LaunchSpec;
  /** Removes every container of the installation and of those derived from it, and the networks it made. */
  removeAll(): Promise<void>;
}

export async function makeDockerRig(defaults: Partial<DockerDriverOptions> = {}): Promise<DockerRig> {
  await ensureStandInImage({ tags: [IMAGE] });
  const installation = `test-${randomUUID().slice(0, 8)}`;
  const docker = new Docker({ socketPath: SOCKET });
  let count = 0;

  function makeDriver(options: Partial<DockerDriverOptions> = {}): DockerDriver {
    return new DockerDriver({
      installation,
      socketPath: SOCKET,
      publish: false,
      devices: { sysRoot: "/sys", devRoot: "/dev" },
      clock: systemClock,
      logger: silentLogger,
      ...defaults,
      ...options,
    });
  }

  function spec(options: Parameters<DockerRig["spec"]>[0] = {}): LaunchSpec {
    const { replica = `replica-${++count}`, env = {}, argv = [] } = options;
    return {
      replica,
      runtime: "docker",
      image: IMAGE,
      argv: ["vllm", "serve", MODEL, "--host", "{host}", "--port", "{port}", ...argv],
      env: { AIM_SIM_LOAD_SECONDS: "0.1", ...env },
      gpus: [],
      pull: "missing",
      mounts: [],
      capabilities: [],
      network: "own",
      resources: {},
      labels: {
        [LABELS.installation]: installation,
        [LABELS.schema]: LABEL_SCHEMA,
        [LABELS.replica]: replica,
        [LABELS.model]: MODEL,
        [LABELS.recipe]: "test-recipe",
        [LABELS.recipeHash]: "0123abcd",
        [LABELS.profile]: "0_gpu",
        [LABELS.gpus]: "",
      },
      readiness: { servedModel: MODEL, warmUp: false, timeoutMs: 30_000 },
      stopGraceMs: 5000,
    };
  }

  async function removeAll(): Promise<void> {
    const containers = await docker.listContainers({ all: true, filters: { name: [installation] } });
    await Promise.all(containers.map(({ Id }) => docker.getContainer(Id).remove({ force: true, v: true })));
    const networks = await docker.listNetworks({ filters: { name: [installation] } });
    await Promise.all(networks.map(({ Id }) => docker.getNetwork(Id).remove()));
  }

  return { installation, docker, makeDriver, spec, removeAll };
}
