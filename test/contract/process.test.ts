// The process runtime against the contract of all drivers.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeDriverContract, type DriverHarness } from "./driver-contract.ts";
import { makeProcessRig } from "../support/process-rig.ts";

describeDriverContract("process", async (): Promise<DriverHarness> => {
  const logDir = await mkdtemp(join(tmpdir(), "aim-engine-"));
  const rig = makeProcessRig({ logDir });
  return {
    makeDriver: () => Promise.resolve(rig.makeDriver()),
    makeStranger: () => Promise.resolve(rig.makeDriver({ installation: `${rig.installation}-stranger` })),
    spec: (options) => rig.spec(options),
    missingProgram: () => ({ ...rig.spec(), argv: ["aim-engine-no-such-program", "serve"] }),
    async cleanUp() {
      await rig.endAll();
      await rm(logDir, { recursive: true, force: true });
    },
  };
});
