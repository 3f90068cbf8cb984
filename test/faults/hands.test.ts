// What people do to containers by hand, behind the back of a gateway that serves from them.
import { randomUUID } from "node:crypto";
import type Docker from "dockerode";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import type { ReplicaView } from "../../src/admin/view.ts";
import { LABELS, LABEL_SCHEMA } from "../../src/catalog/launch-spec.ts";
import { describeWithDocker, SOCKET } from "../support/docker.ts";
import { FaultRig, IMAGE, simRecipe } from "../support/fault-rig.ts";
import { until } from "../support/until.ts";

/** So that addresses are given out in order, whatever else runs on this machine. */
const NETWORK = `aim-faults-${randomUUID().slice(0, 8)}`;
const MOVING = `aim-engine-moving:${randomUUID().slice(0, 8)}`;
const NAMES = ["stopped", "paused", "restarted", "renamed", "removed", "left", "right", "known"] as const;
const RECIPES = {
  ...Object.fromEntries(NAMES.map((name) => [name, simRecipe(`org/${name}`, { DECODE_MS_PER_TOKEN: 30 })])),
  moving: simRecipe("org/moving").replace(/^image:.*$/m, `image: ${MOVING}`),
};

describeWithDocker("a container that somebody", () => {
  let rig: FaultRig;

  beforeAll(async () => {
    rig = await FaultRig.onSharedEngine({
      socketPath: SOCKET,
      recipes: RECIPES,
      config: "stopGrace: 3s\n",
      dockerConfig: [`network: ${NETWORK}`],
    });
    await rig.start();
  });
  afterAll(async () => {
    await rig.remove();
    await rig.docker.getNetwork(NETWORK).remove();
  });

  /** A replica that serves, and its container. */
  async function served(model: string): Promise<{ replica: ReplicaView; container: Docker.Container }> {
    expect((await rig.ask(model)).status).toBe(200);
    const replica = await rig.untilState(model, "ready");
    return { replica, container: rig.docker.getContainer(replica.backend ?? "") };
  }

  async function running(model: string): Promise<readonly string[]> {
    const containers = await rig.containers();
    return containers
      .filter(({ Labels, State }) => Labels[LABELS.model] === model && State === "running")
      .map(({ Id }) => Id);
  }

  /** Nothing keeps it from being started, and it was not taken for one that crashes. */
  async function isStartedAnew(model: string): Promise<void> {
    expect((await rig.ask(model)).status).toBe(200);
    expect((await rig.model(model)).status).toBe("ready");
    expect(await running(model)).toHaveLength(1);
  }

  it("stops is replaced with the next request", async () => {
    const { container } = await served("org/stopped");
    await container.stop();
    await until(async () => (await running("org/stopped")).length === 0);
    await isStartedAnew("org/stopped");
  });

  it("removes under load costs those it served, and nobody else", { timeout: 60_000 }, async () => {
    const { container } = await served("org/removed");
    const stream = await rig.stream("org/removed", 500);
    await stream.moves();
    await container.remove({ force: true });
    const answers = await Promise.all(Array.from({ length: 10 }, () => rig.ask("org/removed")));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(await stream.ended).toMatch(/data: \{"error":\{.*\}\}\n*$/);
    await isStartedAnew("org/removed");
  });

  it("pauses gets no requests until it goes on", { timeout: 60_000 }, async () => {
    const { container, replica } = await served("org/paused");
    await container.pause();
    const find = async () => (await rig.replicasOf("org/paused")).find(({ name }) => name === replica.name);
    await until(async () => (await find())?.reason === "it is paused", { timeoutMs: 5_000, what: "notice of a pause" });
    await container.unpause();
    await until(async () => (await find())?.reason === "ready", { timeoutMs: 15_000, what: "notice that it goes on" });
    expect((await rig.ask("org/paused")).status).toBe(200);
    expect(await running("org/paused")).toEqual([container.id]);
  });

  it("restarts serves again or is replaced, and whatever runs is known", { timeout: 60_000 }, async () => {
    const { container } = await served("org/restarted");
    // Whoever looks while it is down takes it for ended, and clears it away.
    await container
      .restart()
      .catch((error: unknown) => expect(String(error)).toMatch(/No such container|removal|marked/));
    expect((await rig.ask("org/restarted")).status).toBe(200);
    const isKnown = async () => {
      const [known, there] = [await rig.replicasOf("org/restarted"), await running("org/restarted")];
      return known.length === there.length && known.every(({ backend = "" }) => there.includes(backend));
    };
    await until(isKnown, { what: "a replica for each container" });
    expect((await rig.model("org/restarted")).status).toBe("ready");
  });

  it("renames goes on serving, and is stopped by the name of its replica", async () => {
    const { container, replica } = await served("org/renamed");
    await container.rename({ name: `${rig.home.installation}-hands` });
    expect((await rig.ask("org/renamed")).status).toBe(200);
    expect(await running("org/renamed")).toEqual([container.id]);
    expect((await rig.act("DELETE", `/api/replicas/${replica.name}`)).status).toBe(200);
    expect(await running("org/renamed")).toEqual([]);
  });

  it("gives another one's address is found at its new one", { timeout: 60_000 }, async () => {
    const [left, right] = [await served("org/left"), await served("org/right")];
    // Nobody looks meanwhile: else they would be taken for ended, and cleared away.
    rig.gateway.child.kill("SIGSTOP");
    await Promise.all([left.container.stop(), right.container.stop()]);
    await right.container.start();
    await left.container.start();
    expect(await addressOf(right.container)).toBe(left.replica.address);
    expect(await addressOf(left.container)).toBe(right.replica.address);
    for (const { replica } of [left, right]) await until(() => isHealthy(replica.address), { what: "an engine" });
    rig.gateway.child.kill("SIGCONT");
    const isLearned = async () => (await rig.replicasOf("org/left"))[0]?.address === right.replica.address;
    await until(isLearned, { timeoutMs: 15_000, what: "the new addresses" });
    for (const { model } of [left.replica, right.replica, left.replica]) {
      const answer = await rig.ask(model, { max_tokens: 30 });
      expect(answer).toMatchObject({ status: 200, text: expect.stringContaining(model) });
    }
    expect([...(await running("org/left")), ...(await running("org/right"))]).toEqual([
      left.container.id,
      right.container.id,
    ]);
  });

  it(
    "gives another image's name to runs on from its own, and the next one from the new",
    { timeout: 60_000 },
    async () => {
      const [repo = "", tag = ""] = MOVING.split(":");
      const newest = async () => (await rig.docker.getImage(MOVING).inspect()).Id;
      const used = async (replica: ReplicaView) => {
        const response = await rig.act("GET", `/api/show/${replica.name}`);
        return (await response.json()) as { details: { image?: string; imageId?: string } };
      };
      await rig.docker.getImage(IMAGE).tag({ repo, tag });
      onTestFinished(() => rig.docker.getImage(MOVING).remove({ force: true, noprune: true }));
      const first = await served("org/moving");
      const before = await newest();
      expect((await used(first.replica)).details).toMatchObject({ image: MOVING, imageId: before });
      await first.container.commit({ repo, tag, comment: "another image of that name" });
      expect(await newest()).not.toBe(before);
      expect((await rig.ask("org/moving")).status).toBe(200);
      expect(await running("org/moving")).toEqual([first.container.id]);
      expect((await used(first.replica)).details.imageId).toBe(before);
      await rig.act("POST", `/api/replicas/${first.replica.name}/restart`);
      const second = await served("org/moving");
      expect((await second.container.inspect()).Image).toBe(await newest());
      await rig.act("DELETE", `/api/replicas/${second.replica.name}?force=true`);
    },
  );

  it("makes to look like ours is left alone, and told of", { timeout: 60_000 }, async () => {
    const labels = { [LABELS.installation]: rig.home.installation, [LABELS.model]: "org/known" };
    const make = (more: Record<string, string>) =>
      rig.docker.createContainer({
        Image: IMAGE,
        Entrypoint: ["vllm", "serve", "org/known"],
        Labels: { ...labels, ...more },
        HostConfig: { NetworkMode: NETWORK },
      });
    const [old, vague] = [await make({ [LABELS.schema]: "0" }), await make({ [LABELS.schema]: LABEL_SCHEMA })];
    for (const container of [old, vague]) await container.start();
    const toldOf = () => rig.gateway.lines.filter(({ msg }) => String(msg).startsWith("left alone")).length;
    await until(() => toldOf() >= 2, { what: "a word about strangers" });
    expect((await rig.ask("org/known")).status).toBe(200);
    const ours = await rig.untilState("org/known", "ready");
    expect([old.id, vague.id]).not.toContain(ours.backend);
    await rig.act("DELETE", "/api/replicas/org%2Fknown?force=true");
    for (const container of [old, vague]) expect((await container.inspect()).State.Running).toBe(true);
  });
});

function isHealthy(address = ""): Promise<boolean> {
  return fetch(`${address}health`).then(
    ({ ok }) => ok,
    () => false,
  );
}

async function addressOf(container: Docker.Container): Promise<string> {
  const { NetworkSettings } = await container.inspect();
  return `http://${NetworkSettings.Networks[NETWORK]?.IPAddress}:8000/`;
}
