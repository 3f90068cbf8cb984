// A process runtime for tests, with the sim engine as its replicas, under an installation id that nobody else uses.
import { randomUUID } from "node:crypto";
import { LABELS, LABEL_SCHEMA, type LaunchSpec } from "../../src/catalog/launch-spec.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { ProcessDriver, type ProcessDriverOptions } from "../../src/runtime/process/driver.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";

const SIM = new URL("../../src/sim/main.ts", import.meta.url).pathname;
const MODEL = "test/model";

export interface ProcessRig {
  readonly installation: string;
  makeDriver(options?: Partial<ProcessDriverOptions>): ProcessDriver;
  /** The sim engine, which loads at once. */
  spec(options?: {
    readonly replica?: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly argv?: readonly string[];
  }): LaunchSpec;
  /** The same, running another program. */
  program(argv: readonly string[]): LaunchSpec;
  /** Ends every replica of the installation, whoever started it. */
  endAll(): Promise<void>;
}

export function makeProcessRig(options: { readonly logDir: string; readonly installation?: string }): ProcessRig {
  const { logDir, installation = `test-${randomUUID().slice(0, 8)}` } = options;
  const never = new AbortController().signal;
  let count = 0;

  function makeDriver(options: Partial<ProcessDriverOptions> = {}): ProcessDriver {
    return new ProcessDriver({
      installation,
      gpus: [],
      // Tests stand for the gateway's process, whose environment is handed in.
      baseEnv: { PATH: process.env["PATH"] ?? "" },
      clock: systemClock,
      logger: silentLogger,
      logDir,
      ...options,
    });
  }

  function spec(options: Parameters<ProcessRig["spec"]>[0] = {}): LaunchSpec {
    const { replica = `replica-${++count}`, env = {}, argv = [] } = options;
    return {
      replica,
      runtime: "process",
      argv: [process.execPath, SIM, "serve", MODEL, "--host", "{host}", "--port", "{port}", ...argv],
      env: { AIM_SIM_LOAD_SECONDS: "0.1", ...env },
      gpus: [],
      pull: "missing",
      mounts: [],
      capabilities: [],
      network: "own",
      resources: {},
      labels: {
        [LABELS.installation]: installation,
        [LABELS.schema]: LABEL_SCHEMA,
        [LABELS.replica]: replica,
        [LABELS.model]: MODEL,
        [LABELS.recipe]: "test-recipe",
        [LABELS.recipeHash]: "0123abcd",
        [LABELS.profile]: "0_gpu",
        [LABELS.gpus]: "",
      },
      readiness: { servedModel: MODEL, warmUp: false, timeoutMs: 30_000 },
      stopGraceMs: 5000,
    };
  }

  async function endAll(): Promise<void> {
    for (const name of [installation, `${installation}-stranger`]) {
      const driver = makeDriver({ installation: name });
      for (const { ref } of await driver.list(never)) {
        await driver.stop(ref, { graceMs: 0, reason: "the test is over" }, never);
      }
      await driver.close();
    }
  }

  return { installation, makeDriver, spec, program: (argv) => ({ ...spec(), argv }), endAll };
}
