// The docker runtime against the contract of all drivers, on a real engine.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeDriverContract, type DriverHarness } from "./driver-contract.ts";
import { describeWithDocker, makeDockerRig } from "../support/docker.ts";

describeWithDocker("docker", () => {
  describeDriverContract("docker", async (): Promise<DriverHarness> => {
    const logDir = await mkdtemp(join(tmpdir(), "aim-engine-"));
    const rig = await makeDockerRig({ logDir });
    return {
      makeDriver: () => Promise.resolve(rig.makeDriver()),
      makeStranger: () => Promise.resolve(rig.makeDriver({ installation: `${rig.installation}-stranger` })),
      spec: (options) => rig.spec(options),
      missingProgram: () => ({ ...rig.spec(), argv: ["aim-engine-no-such-program", "serve"] }),
      async cleanUp() {
        await rig.removeAll();
        await rm(logDir, { recursive: true, force: true });
      },
    };
  });
});
