import { describe, expect, it } from "vitest";
import { AimError } from "../../../src/errors.ts";
import type { PullReport } from "../../../src/control/operations/pull-report.ts";
import { makeGpus, makeRecipe } from "../../support/make.ts";
import { Rig, type RigOptions } from "../../support/make-plane.ts";

const never = new AbortController().signal;

async function rigWith(recipes: RigOptions["recipes"], options: Partial<RigOptions> = {}) {
  const rig = new Rig({ recipes, ...options });
  const pulled: string[] = [];
  rig.world.onPull = async (image) => void pulled.push(image);
  await rig.clock.advance(100);
  return { rig, pulled };
}

async function pull(rig: Rig, name: string): Promise<readonly PullReport[]> {
  const reports: PullReport[] = [];
  for await (const report of rig.plane.pulls.pull(name, never)) reports.push(report);
  return reports;
}

describe("a pull", () => {
  it.each(["tiny", "small", "registry.example/sim:1", "sim:1"])("knows the image by %s", async (name) => {
    const recipe = makeRecipe({ aliases: ["small"], image: "registry.example/sim:1" });
    const { rig, pulled } = await rigWith([recipe, makeRecipe({ id: "other", image: "other:1" })]);
    expect(await pull(rig, name)).toEqual([{ kind: "done", image: "registry.example/sim:1" }]);
    expect(pulled).toEqual(["registry.example/sim:1"]);
  });

  it("takes the image of the recipe that would be started, or of one that is named", async () => {
    const recipes = [
      makeRecipe({ id: "large", model: "org/big", image: "large:1", gpus: 8 }),
      makeRecipe({ id: "small", model: "org/big", image: "small:1", gpus: 1 }),
    ];
    const { rig, pulled } = await rigWith(recipes, { gpus: makeGpus(1) });
    await pull(rig, "org/big");
    await pull(rig, "large");
    expect(pulled).toEqual(["small:1", "large:1"]);
  });

  it("asks which one where recipes are equally good and their images are not", async () => {
    const recipes = ["one", "two"].map((id) => makeRecipe({ id, model: "org/big", image: `${id}:1` }));
    const { rig, pulled } = await rigWith(recipes);
    await expect(pull(rig, "org/big")).rejects.toThrow(/different images; name one of one, two/);
    expect(pulled).toEqual([]);
  });

  it("needs no choice where all take the same image", async () => {
    const recipes = ["one", "two"].map((id) => makeRecipe({ id, model: "org/big" }));
    const { rig, pulled } = await rigWith(recipes);
    await pull(rig, "org/big");
    expect(pulled).toEqual(["sim:latest"]);
  });

  it("takes images of config.yaml, from the registry it names", async () => {
    const { image: _image, ...bare } = makeRecipe();
    const launch = { images: { sim: "engines/sim:2" }, registry: "registry.example" };
    const defaults = { startTimeoutMs: 1, stopGraceMs: 1, shmBytes: 1, pull: "missing" as const, env: {}, self: [] };
    const { rig, pulled } = await rigWith([bare], { settings: { launch: { ...defaults, ...launch } } });
    await pull(rig, "tiny");
    await pull(rig, "engines/sim:2");
    expect(pulled).toEqual(["registry.example/engines/sim:2", "registry.example/engines/sim:2"]);
  });

  it("brings no other image onto the machine", async () => {
    const { rig, pulled } = await rigWith([makeRecipe()]);
    await expect(pull(rig, "evil:latest")).rejects.toMatchObject({ code: "model_not_found", param: "name" });
    await expect(pull(rig, "tinny")).rejects.toThrow(/did you mean tiny\?/);
    expect(pulled).toEqual([]);
  });

  it("says where there is nothing to pull", async () => {
    const local = makeRecipe({ id: "local", runtime: "process" });
    const { image: _image, ...bare } = makeRecipe({ id: "bare" });
    const { rig } = await rigWith([local, bare]);
    await expect(pull(rig, "local")).rejects.toThrow(/runs on the process runtime, which has no images/);
    await expect(pull(rig, "bare")).rejects.toThrow(/has no image/);
  });

  it("tells how far it is, and at last that it is done", async () => {
    const { rig } = await rigWith([makeRecipe()]);
    rig.world.onPull = async (_, observe) => {
      const layer = { id: "abc", status: "Downloading", doneBytes: 5, totalBytes: undefined };
      observe({ doneBytes: 5, totalBytes: undefined, layers: [layer] });
    };
    expect(await pull(rig, "tiny")).toEqual([
      {
        kind: "progress",
        image: "sim:latest",
        doneBytes: 5,
        layers: [{ id: "abc", status: "Downloading", doneBytes: 5 }],
      },
      { kind: "done", image: "sim:latest" },
    ]);
  });

  it("fails as its runtime does", async () => {
    const { rig } = await rigWith([makeRecipe()]);
    rig.world.onPull = () => Promise.reject(new AimError("runtime_failed", "no such tag"));
    await expect(pull(rig, "tiny")).rejects.toThrow("no such tag");
  });

  it("is given up when its client leaves", async () => {
    const { rig } = await rigWith([makeRecipe()]);
    const pulling = Promise.withResolvers<AbortSignal>();
    rig.world.onPull = (_, observe, signal) => {
      observe({ doneBytes: 0, totalBytes: 1, layers: [] });
      pulling.resolve(signal);
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("given up"))));
    };
    const reports = rig.plane.pulls.pull("tiny", never);
    await reports.next();
    await reports.return(undefined);
    expect((await pulling.promise).aborted).toBe(true);
  });
});
