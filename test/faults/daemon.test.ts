// A gateway whose Docker daemon is killed, restarted and frozen under running replicas and open streams.
import { afterEach, expect, it } from "vitest";
import { startChaosSocket, type ChaosSocket } from "../support/chaos-socket.ts";
import { FaultRig, IMAGE, simRecipe } from "../support/fault-rig.ts";
import { makeDeviceNodes, makeGpuTree, type GpuTree } from "../support/gpu-tree.ts";
import {
  copyImage,
  describeWithPrivateDockerd,
  startPrivateDockerd,
  type PrivateDockerd,
} from "../support/private-dockerd.ts";
import { ensureStandInImage } from "../support/stand-in-image.ts";
import { until } from "../support/until.ts";

const SLOW = { DECODE_MS_PER_TOKEN: 50 };
const RECIPES = {
  kept: simRecipe("org/kept", {}, "replicas: { min: 1 }\n"),
  asked: simRecipe("org/asked", SLOW),
  cold: simRecipe("org/cold"),
  brief: simRecipe("org/brief", {}, "keepAlive: 12s\n"),
  stubborn: simRecipe("org/stubborn", { IGNORE_SIGTERM: 1 }, "profiles: { 1_gpu: {} }\nresources: { shm: 64m }\n"),
};
/** More conversations with Docker than a gateway of two replicas has reason for. */
const MANY = 12;
const CARD = { card: "card0", pciAddress: "0000:01:00.0", render: "renderD128" };

await describeWithPrivateDockerd("a Docker daemon of its own", () => {
  let dockerd: PrivateDockerd;
  let chaos: ChaosSocket;
  let tree: GpuTree;
  let rig: FaultRig;

  async function begin(args: readonly string[] = []): Promise<void> {
    await ensureStandInImage({ tags: [IMAGE] });
    dockerd = await startPrivateDockerd({ args });
    await copyImage(IMAGE, dockerd);
    // Breaks nothing here: it counts.
    chaos = await startChaosSocket(dockerd.socketPath);
    tree = await makeGpuTree([CARD]);
    makeDeviceNodes(tree, [CARD]);
    rig = await FaultRig.make({
      socketPath: chaos.socketPath,
      docker: dockerd.docker,
      recipes: RECIPES,
      config: "stopGrace: 4s\n",
      dockerConfig: [`sysRoot: ${JSON.stringify(tree.sysRoot)}`, `devRoot: ${JSON.stringify(tree.devRoot)}`],
    });
    await rig.start();
    await rig.untilState("org/kept", "ready");
  }

  afterEach(async () => {
    await dockerd?.kill("SIGCONT");
    await rig?.remove();
    await chaos?.close();
    await dockerd?.stop();
    await tree?.remove();
  }, 60_000);

  /** It is known to be away. */
  const away = async () => !(await rig.runtime()).available;
  const back = async () => (await rig.runtime()).available;

  /** The gateway's own look at what runs. */
  const lists = () => new RegExp(`/containers/json.*${rig.home.installation}`);

  async function ids(): Promise<readonly string[]> {
    return (await rig.containers()).map(({ Id, State }) => `${Id} ${State}`).sort();
  }

  it(
    "that was killed and comes back without its containers starts what is wanted again, once, and calls nothing a crash",
    { timeout: 90_000 },
    async () => {
      await begin();
      expect((await rig.ask("org/asked")).status).toBe(200);
      const before = await ids();
      const stream = await rig.stream("org/asked", 10_000);
      await stream.moves();
      await dockerd.kill("SIGKILL");
      await until(away, { timeoutMs: 15_000, what: "notice of the outage" });
      // What runs goes on, and is even given new requests; what would have to be started is refused at once.
      await stream.moves();
      expect((await rig.ask("org/asked")).status).toBe(200);
      const refused = await rig.ask("org/cold");
      expect(refused).toMatchObject({ status: 503, text: expect.stringContaining("runtime_unavailable") });
      expect(refused.ms).toBeLessThan(1_000);
      expect(refused.retryAfter).toBeGreaterThan(0);
      await dockerd.restart();
      await until(back, { timeoutMs: 15_000, what: "notice of the return" });
      // Docker itself ends what it finds running: the stream says so.
      expect(await stream.ended).toMatch(/data: \{"error":\{.*\}\}\n*$/);
      const answers = await Promise.all([rig.ask("org/asked"), rig.ask("org/kept"), rig.ask("org/cold")]);
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
      await until(async () => (await ids()).every((one) => one.endsWith("running")), { what: "the end of remains" });
      const after = await ids();
      expect(after).toHaveLength(3);
      expect(after.filter((one) => before.includes(one))).toEqual([]);
      expect([rig.starts("org/asked"), rig.starts("org/kept"), rig.starts("org/cold")]).toEqual([2, 2, 1]);
      for (const model of ["org/asked", "org/kept"])
        for (const cause of rig.failures(model)) expect(["interrupted", "vanished"]).toContain(cause);
    },
  );

  it(
    "that was killed and comes back with its containers interrupts nothing, and is heard again",
    { timeout: 90_000 },
    async () => {
      await begin(["--live-restore"]);
      expect((await rig.ask("org/asked")).status).toBe(200);
      expect((await rig.ask("org/brief")).status).toBe(200);
      const before = await ids();
      const stream = await rig.stream("org/asked", 600);
      await stream.moves();
      await dockerd.kill("SIGKILL");
      await until(away, { timeoutMs: 15_000, what: "notice of the outage" });
      // For longer than a keep-alive: what cannot be stopped goes on serving.
      const [brief] = await rig.replicasOf("org/brief");
      await until(() => Date.parse(brief?.idleUntil ?? "") < Date.now(), {
        timeoutMs: 15_000,
        what: "the end of a keep-alive",
      });
      expect(rig.history("org/brief").at(-1)).toBe("ready");
      expect((await rig.ask("org/brief")).status).toBe(200);
      await dockerd.restart();
      await until(back, { timeoutMs: 15_000, what: "notice of the return" });
      await stream.moves();
      expect(await stream.ended).toMatch(/data: \[DONE\]\n*$/);
      expect(stream.text).not.toContain('"error"');
      const isGone = () => rig.history("org/brief").at(-1) === "gone";
      await until(isGone, { timeoutMs: 20_000, what: "the end of what is idle" });
      expect((await rig.ask("org/asked")).status).toBe(200);
      const left = await ids();
      expect(before.filter((one) => !left.includes(one))).toHaveLength(1);
      expect([rig.starts("org/asked"), rig.starts("org/kept"), rig.starts("org/brief")]).toEqual([1, 1, 1]);
      expect(rig.failures("org/asked")).toEqual([]);
      // By its events, long before the next list would be due.
      const asked = await rig.untilState("org/asked", "ready");
      await dockerd.docker.getContainer(asked.backend ?? "").remove({ force: true });
      const isNoticed = async () => (await rig.replicasOf("org/asked")).length === 0;
      await until(isNoticed, { timeoutMs: 5_000, what: "notice of a removal" });
    },
  );

  it(
    "that is frozen stops nothing: what runs serves, nothing is evicted or called a crash, and nothing piles up",
    { timeout: 90_000 },
    async () => {
      await begin();
      expect((await rig.ask("org/asked")).status).toBe(200);
      const before = await ids();
      const stream = await rig.stream("org/asked", 10_000);
      await dockerd.kill("SIGSTOP");
      await until(away, { timeoutMs: 30_000, what: "notice of the frost" });
      expect((await rig.runtime()).reason).toContain("did not answer within 8 s");
      expect((await rig.ask("org/cold")).text).toContain("runtime_unavailable");
      const looks = () => chaos.requests.filter((line) => line.endsWith("/version")).length;
      const soFar = looks();
      await until(() => looks() > soFar + 1, { timeoutMs: 40_000, what: "further looks" });
      expect(chaos.peak(lists())).toBe(1);
      expect(chaos.peak(/./)).toBeLessThan(MANY);
      await stream.moves();
      expect((await rig.ask("org/asked")).status).toBe(200);
      await dockerd.kill("SIGCONT");
      await until(back, { timeoutMs: 30_000, what: "notice of the thaw" });
      await stream.moves();
      expect((await rig.ask("org/cold")).status).toBe(200);
      expect(await ids()).toEqual(expect.arrayContaining([...before]));
      for (const model of ["org/asked", "org/kept"]) {
        expect(rig.failures(model)).toEqual([]);
        expect(rig.starts(model)).toBe(1);
      }
    },
  );

  it(
    "that is killed while it stops a container is asked again when it is back, and the GPU stays held until then",
    { timeout: 90_000 },
    async () => {
      await begin(["--live-restore"]);
      expect((await rig.ask("org/stubborn")).status).toBe(200);
      const [replica] = await rig.replicasOf("org/stubborn");
      const stopped = rig.act("DELETE", `/api/replicas/${replica?.name}?force=true`);
      stopped.catch(() => undefined);
      await until(() => chaos.requests.some((line) => /^POST \S*\/stop\?t=4$/.test(line)), { what: "the stop" });
      await dockerd.kill("SIGKILL");
      await until(away, { timeoutMs: 15_000, what: "notice of the outage" });
      const held = async () =>
        (await rig.gateway.get<{ gpus: { status: string; replica?: string }[] }>("/api/gpus")).gpus;
      expect(await held()).toMatchObject([{ status: "held", replica: replica?.name }]);
      expect((await rig.replicasOf("org/stubborn")).map(({ state }) => state)).toEqual(["stopping"]);
      await dockerd.restart();
      expect((await stopped).status).toBe(200);
      await until(async () => (await held())[0]?.status === "free", { what: "the GPU's return" });
      expect((await rig.containers()).map(({ Names }) => Names[0])).toEqual([expect.stringContaining("kept")]);
    },
  );
});
