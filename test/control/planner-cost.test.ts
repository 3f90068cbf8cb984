// What a plan costs on the largest machines: it runs with every change, on the thread that serves.
import { expect, it } from "vitest";
import { plan } from "../../src/control/planner.ts";
import type { Gpu } from "../../src/runtime/driver.ts";
import { makeGpus, makeRecipe } from "../support/make.ts";
import { NOW, replica, requests, snapshot } from "../support/make-snapshot.ts";

const GPUS = 64;
const REPLICAS = 200;
const MODELS = 50;

it("looks at each GPU a few times for each model that waits, however many replicas there are", () => {
  let looks = 0;
  const watched = (gpu: Gpu): Gpu => ({
    ...gpu,
    get product() {
      looks += 1;
      return gpu.product;
    },
  });
  const gpus = makeGpus(GPUS).map(watched);
  const names = Array.from({ length: REPLICAS + MODELS }, (_, index) => `m${index}`);
  const [running, wanted] = [names.slice(0, REPLICAS), names.slice(REPLICAS)];
  const decided = plan(
    snapshot({
      runtime: { gpus },
      recipes: names.map((id) => makeRecipe({ id, gpus: 1, hardware: ["MI300X"] })),
      replicas: running.map((id, index) =>
        replica(id, { gpus: gpus.slice(index, index + 1).map((one) => one.id), inFlight: 1 }),
      ),
      demands: wanted.map((model) => requests(model)),
    }),
    NOW,
  );
  expect(decided.holds.size).toBe(MODELS);
  expect(looks).toBeLessThan(GPUS * MODELS * 12);
});
