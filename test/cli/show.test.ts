import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ShowView } from "../../src/admin/view.ts";
import { startAdminServer, type AdminServer } from "../admin/admin-server.ts";
import { makeModel, makeReplica, ScriptedView } from "../admin/scripted-view.ts";
import { runCli } from "./fake-io.ts";

let view: ScriptedView;
let server: AdminServer;

beforeEach(async () => {
  view = new ScriptedView();
  server = await startAdminServer(view);
});

afterEach(() => server.close());

const show = (...argv: string[]) => runCli(["show", ...argv], { url: server.url });

const replica: ShowView = {
  kind: "replica",
  replica: makeReplica({ state: "loading", reason: "loading weights 62%", etaSeconds: 40, flags: ["--seed", "1"] }),
  details: {
    image: "rocm/vllm:6.4",
    argv: ["vllm", "serve", "demo", "--seed", "1"],
    env: { HF_TOKEN: "***", HSA_NO_SCRATCH_RECLAIM: "1" },
    mounts: ["aim-engine-cache -> /root/.cache"],
    phases: [
      { phase: "pulling", seconds: 132 },
      { phase: "starting", seconds: 1.4 },
    ],
    logFile: "/var/log/aim-engine/demo-1.log",
  },
};

const model: ShowView = {
  kind: "model",
  model: makeModel({ model: "org/big", aliases: ["big", "b"], status: "unavailable", reason: "cannot reach Docker" }),
  recipes: [
    {
      id: "big-bf16",
      model: "org/big",
      aliases: [],
      engine: "vllm",
      runtime: "docker",
      precision: "bf16",
      hardware: ["MI300X"],
      profiles: [
        { id: "1_gpu", gpus: 1, default: false },
        { id: "4_gpu", gpus: 4, default: true },
      ],
      file: "recipes/big.yaml",
      image: "rocm/vllm:6.4",
      argv: { "4_gpu": ["vllm", "serve", "org/big"] },
    },
  ],
};

describe("show", () => {
  it("tells everything about a replica", async () => {
    view.shown.set("demo-1", replica);
    expect(await show("demo-1")).toEqual({
      code: 0,
      stdout: `\
REPLICA     demo-1
MODEL       demo
STATE       loading (weights 62%, about 40 s left)
RECIPE      demo
PROFILE     0_gpu
RUNTIME     process
IN-FLIGHT   0
STARTED     2026-01-01T00:00:00.000Z
PHASES      pulling 2m 12s, starting 1 s
IMAGE       rocm/vllm:6.4
COMMAND     vllm serve demo --seed 1
FLAGS       --seed 1
ENV         HF_TOKEN=***
            HSA_NO_SCRATCH_RECLAIM=1
MOUNTS      aim-engine-cache -> /root/.cache
LOG         /var/log/aim-engine/demo-1.log
`,
      stderr: "",
    });
  });

  it("tells what becomes of one that nobody uses", async () => {
    if (replica.kind !== "replica") throw new Error("a replica was meant");
    const sleeper = {
      ...replica.replica,
      state: "sleeping",
      gpus: ["0000:01:00.0"],
      gpuShare: 0.4,
      pinned: true as const,
      keepAliveSeconds: 3_600,
      sleepLevel: 1 as const,
      idleUntil: "2026-01-01T01:00:00.000Z",
    };
    view.shown.set("demo-1", { ...replica, replica: sleeper });
    const { stdout } = await show("demo-1");
    for (const line of [
      /^STATE +sleeping$/m,
      /^SHARE +0.4 of each$/m,
      /^PINNED +yes/m,
      /^KEEP-ALIVE +1h$/m,
      /^SLEEP LEVEL +1$/m,
      /^UNTIL +2026-01-01T01/m,
    ])
      expect(stdout).toMatch(line);
  });

  it("tells when a model will be ready, where that is known", async () => {
    const waiting = makeModel({ status: "cold", reason: "all GPUs are busy", etaSeconds: 222, waiting: 3 });
    view.shown.set("demo", { kind: "model", model: waiting, recipes: [] });
    expect((await show("demo")).stdout).toMatch(/^READY IN +about 3m 50s$/m);
  });

  it("tells everything about a model and its recipes, by a name with a slash", async () => {
    view.shown.set("org/big", model);
    expect(await show("org/big")).toEqual({
      code: 0,
      stdout: `\
MODEL       org/big
ALIASES     big, b
STATUS      unavailable
REASON      cannot reach Docker
REPLICAS    0
IN-FLIGHT   0
WAITING     0

RECIPE      big-bf16
FILE        recipes/big.yaml
ENGINE      vllm
RUNTIME     docker
PRECISION   bf16
HARDWARE    MI300X
IMAGE       rocm/vllm:6.4
PROFILES    1_gpu (1 GPU)
            4_gpu (4 GPUs, default): vllm serve org/big
`,
      stderr: "",
    });
  });

  it("prints what the admin API answers with --json", async () => {
    view.shown.set("demo-1", replica);
    expect(JSON.parse((await show("demo-1", "--json")).stdout)).toEqual(replica);
  });

  it("exits 3 for a name that nothing has, and suggests one", async () => {
    expect(await show("org/bgi")).toEqual({
      code: 3,
      stdout: "",
      stderr: 'aim-engine: there is no replica or model org/bgi\nDid you mean "org/big"?\n',
    });
  });
});
