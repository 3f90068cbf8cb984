// Engines that never come up, run out of memory, or die while they serve: real containers under a real gateway.
import { randomUUID } from "node:crypto";
import { pack } from "tar-stream";
import { afterAll, beforeAll, expect, it } from "vitest";
import { describeWithDocker, SOCKET } from "../support/docker.ts";
import { FaultRig, simRecipe } from "../support/fault-rig.ts";
import { until } from "../support/until.ts";

const FOREIGN = `aim-engine-foreign:${randomUUID().slice(0, 8)}`;
const SLOW = { DECODE_MS_PER_TOKEN: 50 };
const RECIPES = {
  misspelt: simRecipe("org/misspelt", {}, "args: { --sim-load-seconds: soon }\n"),
  starved: simRecipe("org/starved", {}, "resources: { memory: 24m, memorySwap: 24m }\n"),
  maimed: simRecipe(
    "org/maimed",
    { CHILD_OOM: 1, CHILD_OOM_MIB: 400 },
    "resources: { memory: 200m, memorySwap: 200m }\n",
  ),
  sound: simRecipe("org/sound"),
  pair: simRecipe("org/pair", SLOW, "replicas: { max: 2 }\n"),
  looping: simRecipe("org/looping", { CRASH_BEFORE_READY: 0.1 }),
  endless: simRecipe("org/endless", { NEVER_READY: 1 }, "startTimeout: 3s\n"),
  nowhere: simRecipe("org/nowhere").replace(/^image:.*$/m, "image: 127.0.0.1:1/no/such:1"),
  foreign: simRecipe("org/foreign").replace(/^image:.*$/m, `image: ${FOREIGN}`),
  flooding: simRecipe("org/flooding", { LOG_FLOOD: 5_000 }),
  fleeting: simRecipe("org/fleeting", {}, "keepAlive: 100ms\n"),
};

describeWithDocker("an engine in a container", () => {
  let rig: FaultRig;

  beforeAll(async () => {
    rig = await FaultRig.onSharedEngine({ socketPath: SOCKET, recipes: RECIPES, config: "stopGrace: 3s\n" });
    await makeForeignImage();
    await rig.start();
  });
  afterAll(async () => {
    await rig.remove();
    await rig.docker.getImage(FOREIGN).remove({ force: true });
  });

  /** The compiled program of another processor, and its shell, which is tried next. */
  async function makeForeignImage(): Promise<void> {
    const tar = pack();
    const header = Buffer.concat([Buffer.from("\x7fELF\x02\x01\x01", "latin1"), Buffer.alloc(57)]);
    for (const name of ["usr/bin/vllm", "bin/sh"]) tar.entry({ name, mode: 0o755 }, header);
    tar.finalize();
    const [repo, tag] = FOREIGN.split(":");
    for await (const _line of await rig.docker.importImage(tar, { repo, tag }));
  }

  async function containersOf(recipe: string): Promise<readonly string[]> {
    const names = (await rig.containers()).flatMap(({ Names }) => Names);
    return names.filter((name) => name.includes(`-${recipe}-`));
  }

  /** Asks for a model that cannot be started: the answer, which tells nothing of its log, and the operator's reason. */
  async function refused(model: string, cause: string): Promise<string> {
    const answer = await rig.ask(model);
    expect(answer.status).toBe(503);
    expect(JSON.parse(answer.text)).toMatchObject({ error: { code: "model_start_failed" } });
    expect(answer.ms).toBeLessThan(10_000);
    expect(rig.failures(model)).toEqual([cause]);
    const { status, reason = "", lastLines = [] } = await rig.model(model);
    expect(status).toBe("failed");
    for (const line of lastLines.filter((text) => text.trim() !== "")) expect(answer.text).not.toContain(line);
    await until(async () => (await rig.replicasOf(model)).length === 0, { what: "the end of what failed" });
    return reason;
  }

  it("that cannot read a flag fails its model at once, with its lines for operators alone", async () => {
    expect(await refused("org/misspelt", "bad_argument")).toContain("correct the recipe's arguments");
    expect((await rig.model("org/misspelt")).lastLines?.join("\n")).toContain("--sim-load-seconds");
    expect(await containersOf("misspelt")).toEqual([]);
  });

  it("that lacks memory while it loads is told of as that", async () => {
    expect(await refused("org/starved", "host_out_of_memory")).toMatch(/raise \S*memory in its recipe/);
    expect(await containersOf("starved")).toEqual([]);
  });

  it("that was built for another processor is told of as that", async () => {
    expect(await refused("org/foreign", "wrong_architecture")).toContain("built for another processor");
  });

  it("whose image no registry has is refused in seconds", async () => {
    await refused("org/nowhere", "registry_unreachable");
  });

  it(
    "that has lost a child to the memory limit is replaced, since nothing comes of it",
    { timeout: 90_000 },
    async () => {
      expect((await rig.ask("org/maimed")).status).toBe(200);
      const [before] = await rig.replicasOf("org/maimed");
      const isFound = () => rig.failures("org/maimed").includes("host_out_of_memory");
      await until(isFound, { timeoutMs: 60_000, what: "notice of a hung engine" });
      await until(async () => !(await containersOf("maimed")).join().includes(before?.name ?? "?"), {
        what: "its end",
      });
      expect((await rig.ask("org/maimed")).status).toBe(200);
    },
  );

  it("that dies while idle gets no further request, and the next one starts another", { timeout: 60_000 }, async () => {
    expect((await rig.ask("org/sound")).status).toBe(200);
    const { backend = "" } = await rig.untilState("org/sound", "ready");
    await rig.docker.getContainer(backend).kill();
    const killedAt = performance.now();
    await until(async () => (await rig.replicasOf("org/sound")).every(({ state }) => state !== "ready"));
    expect(performance.now() - killedAt).toBeLessThan(1_000);
    expect((await rig.ask("org/sound")).status).toBe(200);
    expect((await containersOf("sound")).length).toBe(1);
  });

  it("that dies while it streams ends that stream with an error, and no other", { timeout: 60_000 }, async () => {
    const launched = await rig.act("POST", "/api/replicas", { model: "org/pair", replicas: 2 });
    expect(await launched.json()).toMatchObject({ replicas: [{ model: "org/pair" }, { model: "org/pair" }] });
    const allReady = async () =>
      (await rig.replicasOf("org/pair")).filter(({ state }) => state === "ready").length === 2;
    await until(allReady, { timeoutMs: 20_000, what: "two replicas" });
    const streams = [await rig.stream("org/pair", 200), await rig.stream("org/pair", 200)];
    for (const stream of streams) await stream.moves();
    const [victim] = await rig.replicasOf("org/pair");
    await rig.docker.getContainer(victim?.backend ?? "").kill();
    const next = await Promise.all([rig.ask("org/pair"), rig.ask("org/pair"), rig.ask("org/pair")]);
    expect(next.map(({ status }) => status)).toEqual([200, 200, 200]);
    const texts = await Promise.all(streams.map(({ ended }) => ended));
    const [cut = "", whole = ""] = texts.sort((a, b) => a.length - b.length);
    expect(cut).toMatch(/data: \{"error":\{.*\}\}\n*$/);
    expect(cut).not.toContain("[DONE]");
    expect(whole).toMatch(/data: \[DONE\]\n*$/);
  });

  it(
    "that dies again and again costs few starts and leaves nothing, however many ask",
    { timeout: 60_000 },
    async () => {
      for (let wave = 0; wave < 5; wave++) {
        const answers = await Promise.all(Array.from({ length: 20 }, () => rig.ask("org/looping")));
        for (const { status, text, mayRetry } of answers) {
          expect(status).toBe(503);
          expect(text).toContain("model_start_failed");
          expect(mayRetry).toBe(false);
        }
        if (wave > 0) expect(Math.max(...answers.map(({ ms }) => ms))).toBeLessThan(1_000);
      }
      expect(rig.starts("org/looping")).toBeLessThanOrEqual(3);
      await until(async () => (await containersOf("looping")).length === 0, { what: "the end of what crashed" });
    },
  );

  it("that never gets ready is given up in time", { timeout: 60_000 }, async () => {
    const answer = await rig.ask("org/endless");
    expect(answer).toMatchObject({ status: 504, text: expect.stringContaining("model_start_timeout") });
    expect(answer.ms).toBeLessThan(12_000);
    await until(async () => (await containersOf("endless")).length === 0, { what: "the end of what stood still" });
  });

  it("that floods its log serves all the same, and its log is bounded", { timeout: 60_000 }, async () => {
    expect((await rig.ask("org/flooding")).status).toBe(200);
    const { name, backend = "" } = await rig.untilState("org/flooding", "ready");
    const { HostConfig } = await rig.docker.getContainer(backend).inspect();
    expect(HostConfig.LogConfig).toEqual({ Type: "json-file", Config: { "max-size": "100m", "max-file": "3" } });
    const log = await (await rig.act("GET", `/api/replicas/${name}/logs?tail=5`)).text();
    expect(log.trim().split("\n")).toHaveLength(5);
    expect((await rig.ask("org/flooding")).ms).toBeLessThan(2_000);
    expect((await rig.act("DELETE", `/api/replicas/${name}`)).status).toBe(200);
  });

  it(
    "that is unloaded in the moment in which somebody asks lets nobody wait in vain",
    { timeout: 90_000 },
    async () => {
      for (let turn = 0; turn < 8; turn++) {
        const answer = await rig.ask("org/fleeting");
        expect(answer.status).toBe(200);
        // Somewhere around the end of the keep-alive, a little later each time.
        const due = performance.now() + 40 + turn * 20;
        await until(() => performance.now() >= due);
      }
      await until(async () => (await containersOf("fleeting")).length === 0, { what: "the end of what is idle" });
    },
  );
});
