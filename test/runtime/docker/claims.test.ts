// Two gateways that know nothing of each other on one engine: no GPU is ever in containers of both, nor in two of one that it
// did not mean to share it.
import type { Readable } from "node:stream";
import type Docker from "dockerode";
import type { Container } from "dockerode";
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { LABELS, type LaunchSpec } from "../../../src/catalog/launch-spec.ts";
import { type AimError, isAimError } from "../../../src/errors.ts";
import { sleep, systemClock } from "../../../src/lib/clock.ts";
import { judge, type Claim } from "../../../src/runtime/docker/claims.ts";
import type { Listed } from "../../../src/runtime/docker/containers.ts";
import type { DockerDriver } from "../../../src/runtime/docker/driver.ts";
import { DOCKER_LABELS } from "../../../src/runtime/docker/labels.ts";
import type { BackendRef } from "../../../src/runtime/driver.ts";
import { Seeded } from "../../simulation/seeded.ts";
import { startChaosSocket } from "../../support/chaos-socket.ts";
import { describeWithDocker, makeDockerRig, SOCKET, type DockerRig } from "../../support/docker.ts";
import { makeDeviceNodes, makeGpuTree, type GpuTree } from "../../support/gpu-tree.ts";
import { until } from "../../support/until.ts";

const NOW = 1_800_000_000_000;
const CLAIM: Claim = { id: "5555", installation: "here", gpus: ["a", "b"], beside: ["friend-1"] };

function other(
  overrides: Partial<Listed> & {
    readonly gpus?: string;
    readonly installation?: string;
    readonly replica?: string;
  } = {},
): Listed {
  const { gpus = "b,c", installation = "there", replica = "model-1", ...rest } = overrides;
  return {
    id: "7777",
    name: "there-model-1",
    labels: { [LABELS.gpus]: gpus, [LABELS.installation]: installation, [LABELS.replica]: replica },
    state: "running",
    createdAt: NOW - 1_000,
    ...rest,
  };
}

describe("judge", () => {
  it.each([
    ["nobody else", [], "clear"],
    ["our own container", [other({ id: "5555", state: "created" })], "clear"],
    ["others on other GPUs", [other({ gpus: "c,d" })], "clear"],
    ["others without GPUs", [other({ gpus: "" })], "clear"],
    ["a GPU whose name begins alike", [other({ gpus: "aa,bb" })], "clear"],
    ["a running one of another installation", [other()], "taken"],
    ["a running one of ours", [other({ installation: "here" })], "taken"],
    ["a paused one", [other({ state: "paused" })], "taken"],
    ["a restarting one", [other({ state: "restarting" })], "taken"],
    ["one that was made, with a higher id", [other({ state: "created" })], "contested"],
    ["one that was made, with a lower id", [other({ state: "created", id: "3333" })], "taken"],
    [
      "two that were made, one with a lower id",
      [other({ state: "created" }), other({ state: "created", id: "3333" })],
      "taken",
    ],
    ["one that was made, and a running one", [other({ state: "created" }), other({ id: "9999" })], "taken"],
    ["one that was made by ours", [other({ state: "created", id: "3333", installation: "here" })], "remains"],
    [
      "a running one, and one that was made by ours",
      [other(), other({ state: "created", installation: "here" })],
      "taken",
    ],
    ["a running one of ours that it may be beside", [other({ installation: "here", replica: "friend-1" })], "clear"],
    [
      "one that was made by ours and that it may be beside",
      [other({ state: "created", installation: "here", replica: "friend-1" })],
      "clear",
    ],
    ["a running one of another installation with that name", [other({ replica: "friend-1" })], "taken"],
    [
      "one that it may be beside, and one that it may not",
      [other({ installation: "here", replica: "friend-1" }), other({ id: "9999", installation: "here" })],
      "taken",
    ],
    ["one that was made long ago", [other({ state: "created", id: "3333", createdAt: NOW - 300_000 })], "clear"],
    ["one that was made by a clock ahead", [other({ state: "created", createdAt: NOW + 60_000 })], "contested"],
  ] as const)("of %s", (_, others, kind) => {
    expect(judge(CLAIM, others, NOW).kind).toBe(kind);
  });
});

const [A, B, C] = ["0000:03:00.0", "0000:05:00.0", "0000:07:00.0"];
const CARDS = [A, B, C].map((pciAddress, index) => ({
  card: `card${index}`,
  pciAddress,
  render: `renderD${128 + index}`,
}));
const OVERLAPS = [
  [[A], [A]],
  [
    [A, B],
    [B, C],
  ],
  [[B], [C, B, A]],
  [
    [A, B, C],
    [C, B, A],
  ],
] as const;
const ROUNDS = 50;

describeWithDocker("two gateways on one engine", () => {
  const never = new AbortController().signal;
  let rig: DockerRig;
  let tree: GpuTree;
  let here: DockerDriver;
  let there: DockerDriver;

  beforeAll(async () => {
    rig = await makeDockerRig();
    tree = await makeGpuTree(CARDS);
    makeDeviceNodes(tree, CARDS);
    here = rig.makeDriver({ devices: tree, installation: `${rig.installation}-a` });
    there = rig.makeDriver({ devices: tree, installation: `${rig.installation}-b` });
  });
  afterEach(() => rig.removeAll());
  afterAll(async () => {
    await Promise.all([here.close(), there.close()]);
    await tree.remove();
  });

  function specFor(gpus: readonly string[]): LaunchSpec {
    return { ...rig.spec(), gpus, gpuKind: { vendor: "amd", arch: "gfx942" } };
  }

  function start(driver: DockerDriver, gpus: readonly string[]): Promise<BackendRef> {
    return driver.start(specFor(gpus), () => {}, never);
  }

  const containers = () => rig.docker.listContainers({ all: true, filters: { name: [rig.installation] } });

  async function refusalOf(work: Promise<unknown>): Promise<AimError> {
    const error: unknown = await work.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (isAimError(error, "runtime_failed") && error.data["failure"] === "gpu_taken") return error;
    throw new Error("it was not refused for its GPUs", { cause: error });
  }

  /** A container as another gateway makes it, up to a point. */
  async function strange(gpus: string, options: { readonly installation?: string } = {}): Promise<Container> {
    const { installation = `${rig.installation}-c` } = options;
    return rig.docker.createContainer({
      name: `${installation}-model-1`,
      Image: rig.spec().image!,
      Entrypoint: ["vllm", "serve", "test/model"],
      Labels: {
        [LABELS.installation]: installation,
        [LABELS.replica]: "model-1",
        [LABELS.gpus]: gpus,
        [DOCKER_LABELS.gpuHost]: tree.devRoot,
      },
    });
  }

  it("yields to a running container, says whose it is, and leaves nothing", async () => {
    const held = await start(here, [A, B]);
    const error = await refusalOf(start(there, [B, C]));
    expect(error.message).toContain(`GPU ${B} is held by container ${held.name} of installation ${rig.installation}-a`);
    expect(error.data["gpus"]).toEqual([B]);
    expect((await containers()).map(({ Id }) => Id)).toEqual([held.id]);
  });

  it("shows what others hold in the inventory, and not what is its own", async () => {
    const held = await start(here, [A]);
    const foreign = `container ${held.name} of installation ${rig.installation}-a`;
    expect((await there.inventory(never)).map((gpu) => gpu.foreign)).toEqual([foreign, undefined, undefined]);
    expect((await here.inventory(never)).every((gpu) => gpu.foreign === undefined)).toBe(true);
    await rig.docker.getContainer(held.id).pause();
    expect((await there.inventory(never))[0]?.foreign).toBe(foreign);
    await here.stop(held, { graceMs: 0, reason: "the test is over" }, never);
    expect((await there.inventory(never)).every((gpu) => gpu.foreign === undefined)).toBe(true);
  });

  it("holds no claim on the GPUs of another machine's devices against it", async () => {
    const elsewhere = await makeGpuTree(CARDS);
    onTestFinished(() => elsewhere.remove());
    makeDeviceNodes(elsewhere, CARDS);
    const stranger = rig.makeDriver({ devices: elsewhere, installation: `${rig.installation}-c` });
    onTestFinished(() => stranger.close());
    await start(here, [A]);
    await expect(start(stranger, [A])).resolves.toBeDefined();
  });

  it("refuses a GPU that another replica of its own has", async () => {
    await start(here, [A]);
    await refusalOf(start(here, [A, B]));
  });

  it("starts a replica beside another of its own that may have the GPU at the same time, and beside no other", async () => {
    const asleep = specFor([A]);
    const held = await here.start(asleep, () => {}, never);
    const beside = await here.start({ ...specFor([A, B]), beside: [asleep.replica] }, () => {}, never);
    expect((await containers()).map(({ Id }) => Id).sort()).toEqual([held.id, beside.id].sort());
    const error = await refusalOf(here.start({ ...specFor([B, C]), beside: [asleep.replica] }, () => {}, never));
    expect(error.data["gpus"]).toEqual([B]);
    expect((await there.inventory(never)).map((gpu) => gpu.foreign !== undefined)).toEqual([true, true, false]);
  });

  it("leaves the container alone that is being made for a replica it may be beside", async () => {
    const made = await strange(A, { installation: `${rig.installation}-a` });
    const { Config } = await made.inspect();
    const started = await here.start(
      { ...specFor([A]), beside: [Config.Labels[LABELS.replica] ?? ""] },
      () => {},
      never,
    );
    expect((await containers()).map(({ Id }) => Id).sort()).toEqual([started.id, made.id].sort());
  });

  it("removes what a killed gateway of its own installation had made, which Docker may be about to start", async () => {
    await strange(A, { installation: `${rig.installation}-a` });
    const started = await start(here, [A]);
    expect((await containers()).map(({ Id }) => Id)).toEqual([started.id]);
  });

  it("does not take a replica over that runs on other GPUs", async () => {
    const spec = specFor([A]);
    const labels = (gpus: string) => ({ ...spec.labels, [LABELS.gpus]: gpus });
    const running = await here.start({ ...spec, labels: labels(A) }, () => {}, never);
    const moved = { ...spec, gpus: [B], labels: labels(B) };
    await expect(here.start(moved, () => {}, never)).rejects.toThrow(`in the way: it runs on other GPUs (${A})`);
    expect((await here.start({ ...spec, labels: labels(A) }, () => {}, never)).id).toBe(running.id);
  });

  it.each([
    ["gives up", (rival: Container) => rival.remove(), "started"],
    ["goes on", (rival: Container) => rival.start(), "gpu_taken"],
  ] as const)(
    "waits for another gateway that is about to start, until that one %s",
    async (_, go, expected) => {
      const chaos = await startChaosSocket(SOCKET);
      onTestFinished(() => chaos.close());
      const looks = () => chaos.requests.filter((line) => line.includes("/containers/json")).length;
      const driver = rig.makeDriver({
        devices: tree,
        installation: `${rig.installation}-a`,
        socketPath: chaos.socketPath,
      });
      onTestFinished(() => driver.close());
      // Ids are random, and the lower one waits: again, until that is ours.
      const waited = async () => {
        const rival = await strange(A);
        const before = looks();
        const outcome = start(driver, [A]).then(
          () => "started",
          (error: unknown) => isAimError(error) && error.data["failure"],
        );
        const decided = await until(async () => {
          const settled = await Promise.race([outcome, Promise.resolve("waiting")]);
          return settled === "waiting" ? looks() >= before + 3 && "waiting" : settled;
        });
        if (decided === "waiting") await go(rival);
        const end = await outcome;
        await rig.removeAll();
        return decided === "waiting" && end;
      };
      expect(await until(waited, { timeoutMs: 40_000 })).toBe(expected);
    },
    60_000,
  );

  it(`never has a GPU in two containers, and gives it to one, in ${ROUNDS} races`, async () => {
    const overlaps = await watchOverlaps(rig.docker, tree.devRoot);
    onTestFinished(() => overlaps.stop());
    const chance = new Seeded(1);
    for (let round = 0; round < ROUNDS; round++) {
      const [left, right] = chance.one(OVERLAPS);
      const delays = [chance.upTo(30), chance.upTo(30)] as const;
      const race = await Promise.allSettled([
        sleep(systemClock, delays[0]).then(() => start(here, left)),
        sleep(systemClock, delays[1]).then(() => start(there, right)),
      ]);
      const winners = race.filter((one) => one.status === "fulfilled");
      expect(winners, `winners of round ${round}`).toHaveLength(1);
      const losers = race.filter((one) => one.status === "rejected").map(({ reason }) => reason as unknown);
      expect(losers.map((error) => isAimError(error) && error.data["failure"])).toEqual(["gpu_taken"]);
      expect((await containers()).map(({ Id }) => Id)).toEqual(winners.map(({ value }) => value.id));
      await rig.removeAll();
    }
    expect(overlaps.starts()).toBeGreaterThanOrEqual(ROUNDS);
    expect(overlaps.found()).toEqual([]);
  }, 240_000);
});

interface Overlaps {
  starts(): number;
  /** Ids of GPUs that were in two running containers at once. */
  found(): readonly string[];
  stop(): void;
}

/** Follows the engine's own account of what starts and ends. */
async function watchOverlaps(docker: Docker, gpuHost: string): Promise<Overlaps> {
  const filters = { event: ["start", "die"], label: [`${DOCKER_LABELS.gpuHost}=${gpuHost}`] };
  const stream = await docker.getEvents({ filters });
  const running = new Map<string, readonly string[]>();
  const found: string[] = [];
  let starts = 0;
  const read = (line: string) => {
    // What Docker writes for the filters above.
    const { Action, Actor } = JSON.parse(line) as {
      Action: string;
      Actor: { ID: string; Attributes: Record<string, string> };
    };
    if (Action === "die") return void running.delete(Actor.ID);
    const gpus = (Actor.Attributes[LABELS.gpus] ?? "").split(",");
    found.push(...gpus.filter((gpu) => [...running.values()].some((held) => held.includes(gpu))));
    running.set(Actor.ID, gpus);
    starts += 1;
  };
  let rest = "";
  stream.on("data", (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split("\n");
    rest = lines.pop() ?? "";
    lines.filter((line) => line !== "").forEach(read);
  });
  return {
    starts: () => starts,
    found: () => found,
    // A stream of dockerode's is a response, which can be destroyed.
    stop: () => void (stream as Readable).destroy(),
  };
}
