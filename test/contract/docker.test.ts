// The docker runtime against the contract of all drivers, on a real engine.
import { describeDriverContract, type DriverHarness } from "./driver-contract.ts";
import { describeWithDocker, makeDockerRig } from "../support/docker.ts";

describeWithDocker("docker", () => {
  describeDriverContract("docker", async (): Promise<DriverHarness> => {
    const rig = await makeDockerRig();
    return {
      makeDriver: () => Promise.resolve(rig.makeDriver()),
      makeStranger: () => Promise.resolve(rig.makeDriver({ installation: `${rig.installation}-stranger` })),
      spec: (options) => rig.spec(options),
      missingProgram: () => ({ ...rig.spec(), argv: ["aim-engine-no-such-program", "serve"] }),
      cleanUp: () => rig.removeAll(),
    };
  });
});
