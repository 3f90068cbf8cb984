import { describe, expect, it } from "vitest";
import type { LaunchWish } from "../../../src/control/operations/order-check.ts";
import type { LaunchOutcome } from "../../../src/control/operations/operator.ts";
import { isAimError } from "../../../src/errors.ts";
import { makeGpus, makeProfile, makeRecipe } from "../../support/make.ts";
import { Rig } from "../../support/make-plane.ts";

const never = new AbortController().signal;
const vllm = () => makeRecipe({ engine: "vllm", replicas: { min: 0, max: 4 } });

/** What came of it while time went by. */
async function within<T>(rig: Rig, ms: number, work: Promise<T>): Promise<T> {
  const settled = Promise.allSettled([work]);
  await rig.clock.advance(ms);
  const [result] = await settled;
  if (result.status === "rejected") throw result.reason;
  return result.value;
}

const launch = (rig: Rig, wish: LaunchWish) => within(rig, 5_000, rig.plane.operator.launch(wish, never));
const restart = (rig: Rig, name: string, options = { force: false }) =>
  within(rig, 5_000, rig.plane.operator.restart(name, options, never));
const remove = (rig: Rig, name: string, options = { force: false }) =>
  within(rig, 5_000, rig.plane.operator.remove(name, options, never));
const namesOf = ({ replicas }: LaunchOutcome) => replicas.map(({ name }) => name);

async function linesOf(rig: Rig, name: string, tail = 100): Promise<string[]> {
  const lines: string[] = [];
  for await (const { text } of rig.plane.operator.logs(name, { follow: false, tail }, never)) lines.push(text);
  return lines;
}

describe("a launch of several", () => {
  it("starts as many as are missing, and names all that were asked for", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    await launch(rig, { model: "tiny" });
    const outcome = await launch(rig, { model: "tiny", replicas: 3 });
    expect(namesOf(outcome)).toEqual(["tiny-1", "tiny-2", "tiny-3"]);
    expect(outcome).toMatchObject({ created: true, replica: { name: "tiny-1" } });
    expect(rig.world.starts).toHaveLength(3);
    expect(await launch(rig, { model: "tiny", replicas: 3 })).toMatchObject({ created: false });
  });

  it("says how far it came when there is no room for all", async () => {
    const settings = { maxHoldMs: 2_000 };
    const rig = new Rig({ recipes: [makeRecipe({ gpus: 2 })], gpus: makeGpus(5), settings });
    rig.world.pace.loadMs = 60_000;
    const failed = launch(rig, { model: "tiny", replicas: 3 });
    await expect(failed).rejects.toThrow(/of 3 replicas there are 2 \(tiny-1, tiny-2\): tiny has no room/);
    await failed.catch((error: unknown) => expect(isAimError(error, "no_capacity")).toBe(true));
  });
});

describe("a launch with wishes of its own", () => {
  it("gets its name and the GPUs it names, by number or address", async () => {
    const gpus = makeGpus(4);
    const rig = new Rig({ recipes: [makeRecipe({ profiles: [makeProfile(2)] })], gpus });
    await rig.clock.advance(100);
    const on = ["3", gpus[1]?.id ?? ""];
    const { replica } = await launch(rig, { model: "tiny", on, name: "mine" });
    expect(replica).toMatchObject({ name: "mine", gpus: expect.arrayContaining([gpus[1]?.id, gpus[3]?.id]) });
    expect(rig.world.starts).toEqual(["mine"]);
  });

  it("refuses a name that is in use", async () => {
    const rig = new Rig({ recipes: [makeRecipe(), makeRecipe({ id: "other" })] });
    await launch(rig, { model: "tiny", name: "mine" });
    await expect(launch(rig, { model: "other", name: "mine" })).rejects.toMatchObject({ code: "conflict" });
  });

  it("remembers the flags it added", async () => {
    const rig = new Rig({ recipes: [vllm()] });
    const flags = ["--seed", "7"];
    const { replica } = await launch(rig, { model: "tiny", flags });
    expect(replica).toMatchObject({ flags });
    expect(rig.world.containers.get("tiny-1")?.spec.argv.join(" ")).toContain("--seed 7");
  });
});

describe("a launch that pins", () => {
  const unused = () => makeRecipe({ keepAliveMs: 1_000 });

  it("keeps its replica however long nobody uses it, also after a restart of the gateway", async () => {
    const rig = new Rig({ recipes: [unused()] });
    await launch(rig, { model: "tiny", pinned: true });
    await rig.clock.advance(60_000);
    expect(rig.states()).toEqual(["tiny-1 ready"]);
    rig.boot();
    await rig.clock.advance(60_000);
    expect(rig.states()).toEqual(["tiny-1 ready"]);
  });

  it("pins the one that is there already", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ keepAliveMs: 20_000 })] });
    await launch(rig, { model: "tiny" });
    expect(await launch(rig, { model: "tiny", pinned: true })).toMatchObject({ created: false });
    await rig.clock.advance(60_000);
    expect(rig.states()).toEqual(["tiny-1 ready"]);
  });
});

describe("a pin", () => {
  const running = async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    rig.request("tiny");
    await rig.clock.advance(5_000);
    return rig;
  };

  it("keeps a replica however long it is idle, until it is taken off", async () => {
    const rig = await running();
    expect(rig.plane.operator.pin("tiny", true)).toMatchObject([{ name: "tiny-1", pinned: true }]);
    await rig.clock.advance(3_600_000);
    expect(rig.states()).toEqual(["tiny-1 ready"]);
    expect(rig.plane.operator.pin("tiny-1", false)[0]).not.toHaveProperty("pinned");
    await rig.clock.advance(5_000);
    expect(rig.states()).toEqual([]);
  });

  it("keeps a replica from making room for others", async () => {
    const recipes = [makeRecipe({ gpus: 1 }), makeRecipe({ id: "other", gpus: 1 })];
    const rig = new Rig({ recipes, gpus: makeGpus(1) });
    rig.request("tiny");
    await rig.clock.advance(5_000);
    rig.plane.operator.pin("tiny-1", true);
    const other = rig.request("other");
    await rig.clock.advance(300_000);
    expect(other.outcome).toBe("refused");
    expect(rig.states()).toEqual(["tiny-1 ready"]);
  });

  it("is for what runs", async () => {
    const rig = await running();
    void rig.plane.operator.stop("tiny", { force: false }, never);
    expect(() => rig.plane.operator.pin("tiny", true)).toThrow(/tiny is not running; "aim-engine launch --pin tiny"/);
    await rig.clock.advance(5_000);
    expect(() => rig.plane.operator.pin("tiny-1", false)).toThrow(/tiny-1 is not running; "aim-engine launch tiny"/);
    expect(() => rig.plane.operator.pin("nobody", true)).toThrow(/no replica or model nobody/);
  });

  it("outlasts a keep-alive that a launch asks for, and says so", async () => {
    const rig = await running();
    rig.plane.operator.pin("tiny", true);
    const { created, reasons } = await launch(rig, { model: "tiny", keepAliveMs: 1_000 });
    expect(created).toBe(false);
    expect(reasons).toContain("tiny-1 is pinned: it is kept however long it is idle");
    await rig.clock.advance(600_000);
    expect(rig.states()).toEqual(["tiny-1 ready"]);
  });

  it("stays on a replica that is restarted", async () => {
    const rig = await running();
    rig.plane.operator.pin("tiny", true);
    expect((await restart(rig, "tiny")).replica).toMatchObject({ pinned: true });
  });
});

describe("a restart", () => {
  it("stops a replica and starts one like it, with its flags, its idle time and its name", async () => {
    const rig = new Rig({ recipes: [vllm()] });
    const wish = { flags: ["--seed", "7"], keepAliveMs: 600_000, name: "mine" };
    await launch(rig, { model: "tiny", ...wish });
    const before = rig.world.containers.get("mine")?.ref.id;
    const outcome = await restart(rig, "mine");
    expect(outcome).toMatchObject({ created: true, replica: { name: "mine", flags: wish.flags } });
    await rig.clock.advance(500_000);
    expect(rig.states()).toEqual(["mine ready"]);
    expect(rig.world.containers.get("mine")?.ref.id).not.toBe(before);
    await rig.clock.advance(120_000);
    expect(rig.states()).toEqual([]);
  });

  it("touches only what is named, although others like it run", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    await launch(rig, { model: "tiny", replicas: 2 });
    const other = rig.world.containers.get("tiny-2")?.ref.id;
    expect(namesOf(await restart(rig, "tiny-1"))).toEqual(["tiny-1"]);
    expect(rig.world.containers.get("tiny-2")?.ref.id).toBe(other);
    expect(rig.world.starts).toEqual(["tiny-1", "tiny-2", "tiny-1"]);
  });

  it("of a model goes through its replicas one after the other", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    await launch(rig, { model: "tiny", replicas: 2 });
    const alive: number[] = [];
    rig.world.onRunning = () => alive.push(rig.world.containers.size);
    expect(namesOf(await restart(rig, "tiny"))).toEqual(["tiny-1", "tiny-2"]);
    expect(alive).toEqual([2, 2]);
    expect(rig.world.violations).toEqual([]);
  });

  it("lets what is in flight finish, and by force does not", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    const long = rig.request("tiny", { serveMs: 30_000 });
    await rig.clock.advance(5_000);
    await within(rig, 60_000, rig.plane.operator.restart("tiny-1", { force: false }, never));
    expect(long.outcome).toBe("served");
    const cut = rig.request("tiny", { serveMs: 30_000 });
    await rig.clock.advance(2_000);
    rig.world.condemned.add(cut.replica ?? "");
    await restart(rig, "tiny", { force: true });
    expect(cut.outcome).toBe("broken");
    expect(rig.world.violations).toEqual([]);
  });

  it("goes on when its caller leaves", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    await launch(rig, { model: "tiny" });
    const leaving = new AbortController();
    const left = rig.plane.operator.restart("tiny-1", { force: false }, leaving.signal);
    leaving.abort(new Error("gone"));
    await expect(left).rejects.toThrow("gone");
    await rig.clock.advance(5_000);
    expect(rig.states()).toEqual(["tiny-1 ready"]);
    expect(rig.world.starts).toHaveLength(2);
  });

  it("stops nothing that could not be started again", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    await launch(rig, { model: "tiny" });
    rig.boot([makeRecipe({ id: "new", model: "tiny" })]);
    const busy = rig.request("tiny", { serveMs: 600_000 });
    await rig.clock.advance(5_000);
    expect(busy.replica).toBe("tiny-1");
    await expect(restart(rig, "tiny-1")).rejects.toThrow(/recipe tiny is gone; put it back/);
    expect(rig.states()).toEqual(["tiny-1 ready"]);
  });

  it("is refused while its runtime is away", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    await launch(rig, { model: "tiny" });
    rig.world.outage = new Error("Docker is gone");
    await rig.clock.advance(15_000);
    await expect(restart(rig, "tiny-1")).rejects.toMatchObject({ code: "runtime_unavailable" });
    expect(rig.states()).toEqual(["tiny-1 ready"]);
  });

  it("of what does not run says how to start it", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    await launch(rig, { model: "tiny" });
    await within(rig, 5_000, rig.plane.operator.stop("tiny-1", { force: false }, never));
    for (const name of ["tiny", "tiny-1"]) {
      await expect(restart(rig, name)).rejects.toThrow(`${name} is not running; "aim-engine launch tiny" starts it`);
    }
    await expect(restart(rig, "tinny")).rejects.toThrow(/did you mean tiny\?/);
  });
});

describe("removing what is left", () => {
  it("refuses to touch what runs, unless by force", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    await launch(rig, { model: "tiny" });
    await expect(remove(rig, "tiny-1")).rejects.toThrow(/tiny-1 is ready; stop it first, or remove it with --force/);
    expect(rig.states()).toEqual(["tiny-1 ready"]);
    expect(await remove(rig, "tiny-1", { force: true })).toEqual(["tiny-1"]);
    expect(rig.states()).toEqual([]);
    expect(rig.world.past.size).toBe(0);
  });

  it("deletes what a failed start left, and lets the next request try at once", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    rig.request("tiny");
    await rig.clock.advance(500);
    rig.world.exit("tiny-1", { code: 1, outOfMemory: false });
    await rig.clock.advance(1_000);
    expect(rig.plane.status.models()[0]).toMatchObject({ status: "failed" });
    expect(await remove(rig, "tiny")).toEqual(["tiny-1"]);
    expect(rig.plane.status.models()[0]).toMatchObject({ status: "cold" });
    await expect(linesOf(rig, "tiny-1")).rejects.toMatchObject({ code: "replica_not_found" });
    const next = rig.request("tiny");
    await rig.clock.advance(5_000);
    expect(next.outcome).toBe("served");
  });

  it("removes nothing twice, and nothing of a name that means nothing", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    expect(await remove(rig, "tiny")).toEqual([]);
    await expect(remove(rig, "tinny")).rejects.toMatchObject({ code: "replica_not_found" });
    await expect(remove(rig, "../etc/passwd")).rejects.toMatchObject({ code: "replica_not_found" });
  });

  it("finds what an earlier gateway left", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    await launch(rig, { model: "tiny", name: "mine" });
    await within(rig, 5_000, rig.plane.operator.stop("mine", { force: false }, never));
    rig.boot();
    await rig.clock.advance(1_000);
    expect(await remove(rig, "mine")).toEqual(["mine"]);
    await expect(remove(rig, "mine")).rejects.toMatchObject({ code: "replica_not_found" });
  });
});

describe("the output of a replica that is gone", () => {
  it("is read where its runtime keeps it, by its name, its container's name or its model", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    await launch(rig, { model: "tiny" });
    rig.world.containers.get("tiny-1")?.lines.push("the last word");
    await within(rig, 5_000, rig.plane.operator.stop("tiny-1", { force: false }, never));
    for (const name of ["tiny-1", "test-tiny-1", "tiny"]) {
      expect(await linesOf(rig, name, 1)).toEqual(["the last word"]);
    }
  });

  it("of one that is replaced is that of the new one", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    await launch(rig, { model: "tiny" });
    rig.world.containers.get("tiny-1")?.lines.push("the old one");
    await restart(rig, "tiny-1");
    expect(await linesOf(rig, "tiny-1", 1)).toEqual(["still nearly there"]);
  });

  it("of a name that means nothing is an error that helps", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    await expect(linesOf(rig, "tinny")).rejects.toThrow(/did you mean tiny\?/);
    await expect(linesOf(rig, "tiny")).rejects.toThrow(/no replica of tiny is running and no output/);
    await expect(linesOf(rig, "no/such model")).rejects.toMatchObject({ code: "replica_not_found" });
  });
});

describe("a stop of what has stopped", () => {
  it("finds nothing to do for a replica that was there, and for a model", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    await launch(rig, { model: "tiny" });
    const stop = (name: string) => within(rig, 5_000, rig.plane.operator.stop(name, { force: false }, never));
    expect(await stop("tiny-1")).toHaveLength(1);
    expect([await stop("tiny-1"), await stop("tiny")]).toEqual([[], []]);
  });
});

describe("a launch of several", () => {
  it("has as many as it names beside one with other flags, as explain says, and each can be started again", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    await launch(rig, { model: "tiny", flags: ["--seed", "1"] });
    const wish = { model: "tiny", replicas: 2 };
    expect(rig.plane.inspector.explain(wish)).toMatchObject({ verdict: "starts" });
    expect((await launch(rig, wish)).replicas.map(({ name }) => name)).toEqual(["tiny-2", "tiny-3"]);
    await within(rig, 5_000, rig.plane.operator.stop("tiny-3", { force: false }, never));
    const again = await within(rig, 5_000, rig.plane.operator.restart("tiny-2", { force: false }, never));
    expect(again).toMatchObject({ created: true });
  });
});

describe("the release of a GPU", () => {
  it("ends its quarantine, by number or address", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ gpus: 1 })], gpus: makeGpus(2), memory: true });
    rig.world.pace.releaseMs = Infinity;
    await launch(rig, { model: "tiny" });
    await within(rig, 5_000, rig.plane.operator.stop("tiny", { force: false }, never));
    await rig.clock.advance(600_000);
    const quarantined = rig.plane.status.gpus().find(({ status }) => status === "quarantined");
    expect(quarantined).toMatchObject({ number: 0, reason: expect.stringContaining("still in use") });
    expect(rig.plane.operator.releaseGpu("0")).toMatchObject({ number: 0, status: "free" });
    expect(rig.plane.operator.releaseGpu(quarantined?.id ?? "")).toMatchObject({ status: "free" });
    expect(rig.events.since(0).map(({ type }) => type)).toContain("gpu:released");
  });

  it("is refused while a replica holds it: what that uses must not pass for its usual amount", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ gpus: 1 })], gpus: makeGpus(1), memory: true });
    await launch(rig, { model: "tiny" });
    await rig.clock.advance(20_000);
    expect(() => rig.plane.operator.releaseGpu("0")).toThrow(/held by tiny-1/);
    rig.world.pace.releaseMs = Infinity;
    await within(rig, 5_000, rig.plane.operator.stop("tiny", { force: false }, never));
    await rig.clock.advance(5_000);
    expect(rig.plane.status.gpus()).toMatchObject([{ status: "recovering" }]);
  });

  it("names what there is when there is none of that name", async () => {
    const rig = new Rig({ recipes: [makeRecipe()], gpus: makeGpus(1) });
    await rig.clock.advance(100);
    expect(() => rig.plane.operator.releaseGpu("7")).toThrow(/there is no GPU 7; there are 0 \(0000:01:00.0\)/);
  });
});
