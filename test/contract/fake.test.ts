// The fake runtime that the control plane is tested with keeps the same contract as the real ones.
import { LABELS, type LaunchSpec } from "../../src/catalog/launch-spec.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { FakeWorld } from "../support/fake-world.ts";
import { describeDriverContract, type SpecOptions } from "./driver-contract.ts";

describeDriverContract("fake", async () => {
  const world = new FakeWorld({ serve: true });
  Object.assign(world.pace, { createMs: 5, loadMs: 20, stopMs: 20 });
  const spec = (options: SpecOptions = {}): LaunchSpec => {
    const replica = options.replica ?? `fake-${systemRandom.id()}`;
    return {
      replica,
      runtime: "docker",
      argv: ["sim", ...(options.argv ?? [])],
      env: options.env ?? {},
      gpus: [],
      pull: "missing",
      mounts: [],
      capabilities: [],
      network: "own",
      resources: {},
      labels: {
        [LABELS.installation]: "mine",
        [LABELS.replica]: replica,
        [LABELS.recipeHash]: "1",
        [LABELS.model]: "m",
      },
      readiness: { servedModel: "m", warmUp: false, timeoutMs: 10_000 },
      stopGraceMs: 1000,
    };
  };
  return {
    makeDriver: async () => world.driver("mine"),
    makeStranger: async () => world.driver("theirs"),
    spec,
    missingProgram: () => ({ ...spec(), argv: ["no-such-program"] }),
    cleanUp: async () => {
      for (const name of world.containers.keys()) world.remove(name);
    },
  };
});
