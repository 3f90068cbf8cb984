// A gateway whose way to Docker is slow, loses answers, breaks off, or is not there yet.
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { startChaosSocket, type ChaosSocket } from "../support/chaos-socket.ts";
import { describeWithDocker, SOCKET } from "../support/docker.ts";
import { FaultRig, simRecipe } from "../support/fault-rig.ts";
import { until } from "../support/until.ts";

const RECIPES = { warm: simRecipe("org/warm"), cold: simRecipe("org/cold") };
const CREATE = /^POST \S*\/containers\/create/;
const START = /^POST \S*\/containers\/\w+\/start/;
const EVENTS = /^GET \S*\/events/;
const ALWAYS = Infinity;
/** What the pauses between attempts, growing from 0.1 s, leave room for in half a minute. */
const FEW = 12;

describeWithDocker("a gateway with a bad way to Docker", () => {
  let chaos: ChaosSocket;
  let rig: FaultRig;

  beforeEach(async () => {
    chaos = await startChaosSocket(SOCKET);
    rig = await FaultRig.onSharedEngine({ socketPath: chaos.socketPath, recipes: RECIPES });
  });
  afterEach(async () => {
    await rig.remove();
    await chaos.close();
  });

  /** The gateway's own look at what runs. */
  const lists = () => new RegExp(`/containers/json.*${rig.home.installation}`);
  const listed = () => chaos.requests.filter((line) => lists().test(line)).length;

  async function names(): Promise<readonly string[]> {
    return (await rig.containers()).flatMap(({ Names }) => Names).sort();
  }

  it(
    "of 5 s a call asks one question at a time however much happens, serves as ever, and still starts models",
    { timeout: 150_000 },
    async () => {
      await rig.start();
      expect((await rig.ask("org/warm")).status).toBe(200);
      const { backend = "" } = await rig.untilState("org/warm", "ready");
      chaos.inject(/./, { kind: "delay", ms: 5_000 }, ALWAYS);
      const before = listed();
      for (let turn = 0; turn < 20; turn++)
        await rig.docker.getContainer(backend).rename({ name: `${rig.home.installation}-turn-${turn}` });
      const cold = rig.ask("org/cold");
      await until(() => listed() >= before + 2, { timeoutMs: 40_000, what: "two more looks" });
      const warm = await rig.ask("org/warm");
      expect(warm.status).toBe(200);
      expect(warm.ms).toBeLessThan(1_000);
      expect(chaos.peak(lists())).toBe(1);
      expect((await cold).status).toBe(200);
      expect(listed() - before).toBeLessThan(FEW);
      expect(rig.failures("org/warm")).toEqual([]);
    },
  );

  it.each([
    ["the creation", CREATE],
    ["the start", START],
  ])("that loses Docker's answer to %s of a container runs one all the same", { timeout: 60_000 }, async (_, line) => {
    await rig.start();
    chaos.inject(line, { kind: "drop answer" });
    expect((await rig.ask("org/cold")).status).toBe(200);
    expect(await names()).toEqual([`/${rig.home.installation}-cold-1`]);
    expect(rig.starts("org/cold")).toBe(1);
    await rig.act("DELETE", "/api/replicas/cold-1");
    expect(await names()).toEqual([]);
    // Unless told otherwise: what ROCm needs to give memory back is less than that.
    expect(chaos.requests).toContainEqual(expect.stringMatching(/\/stop\?t=60$/));
  });

  it.each([
    ["tells no events", { kind: "hang" }],
    ["ends the stream of events at once", { kind: "answer", status: 200, body: "" }],
    ["garbles the stream of events", { kind: "answer", status: 200, body: '{"Type":"container"}\n{"Ty\u0000' }],
  ] as const)(
    "that %s still learns what happened, and asks no more often for it",
    { timeout: 60_000 },
    async (_, fault) => {
      chaos.inject(EVENTS, fault, ALWAYS);
      await rig.start();
      expect((await rig.ask("org/warm")).status).toBe(200);
      const { backend = "" } = await rig.untilState("org/warm", "ready");
      await rig.docker.getContainer(backend).remove({ force: true });
      const isNoticed = async () => (await rig.replicasOf("org/warm")).length === 0;
      await until(isNoticed, { timeoutMs: 20_000, what: "notice of a removal" });
      expect((await rig.ask("org/warm")).status).toBe(200);
      expect(chaos.requests.filter((line) => EVENTS.test(line)).length).toBeLessThan(FEW);
    },
  );

  it("speaks the language of a newer Docker", { timeout: 60_000 }, async () => {
    chaos.inject(
      /\/version/,
      { kind: "answer", status: 200, body: '{"ApiVersion":"1.52","MinAPIVersion":"1.44"}' },
      ALWAYS,
    );
    chaos.inject(/ \/v1\.50\//, { kind: "redirect", from: /\/v1\.50\//, to: "/v1.41/" }, ALWAYS);
    await rig.start();
    expect((await rig.ask("org/cold")).status).toBe(200);
    await rig.act("DELETE", "/api/replicas/cold-1");
    expect(await names()).toEqual([]);
    const others = chaos.requests.filter((line) => !/ \/v1\.50\/| \/version$/.test(line));
    expect(others).toEqual([]);
  });

  it("says what is wrong with one that is too old", { timeout: 60_000 }, async () => {
    chaos.inject(
      /\/version/,
      { kind: "answer", status: 200, body: '{"ApiVersion":"1.40","MinAPIVersion":"1.12"}' },
      ALWAYS,
    );
    await rig.start();
    const refused = await rig.ask("org/cold");
    expect(refused).toMatchObject({ status: 503, text: expect.stringContaining("runtime_unavailable") });
    expect((await rig.runtime()).reason).toContain("update it to 20.10");
    expect((await rig.readiness()).status).toBe(503);
  });
});

describeWithDocker("a gateway before Docker", () => {
  let folder: string;
  let rig: FaultRig;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "aim-no-docker-"));
    rig = await FaultRig.onSharedEngine({ socketPath: join(folder, "docker.sock"), recipes: RECIPES });
  });
  afterEach(async () => {
    await rig.remove();
    await rm(folder, { recursive: true });
  });

  it("says what is missing, and serves as soon as Docker is there", { timeout: 60_000 }, async () => {
    await rig.start();
    const refusesAll = async () => (await rig.readiness()).text.includes("its runtime is not available");
    await until(refusesAll, { what: "a gateway that is not ready" });
    expect((await rig.readiness()).status).toBe(503);
    expect((await rig.model("org/cold")).reason).toContain(`there is no socket at ${folder}/docker.sock`);
    const refused = await rig.ask("org/cold");
    expect(refused).toMatchObject({ status: 503, text: expect.stringContaining("runtime_unavailable") });
    expect(refused.retryAfter).toBeGreaterThan(0);
    await symlink(SOCKET, join(folder, "docker.sock"));
    await until(async () => (await rig.readiness()).status === 200, {
      timeoutMs: 25_000,
      what: "a gateway that is ready",
    });
    expect((await rig.ask("org/cold")).status).toBe(200);
  });
});
