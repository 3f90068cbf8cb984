import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ExplanationView } from "../../src/admin/view.ts";
import { AimError } from "../../src/errors.ts";
import { startAdminServer, type AdminServer } from "../admin/admin-server.ts";
import { makeExplanation, ScriptedView } from "../admin/scripted-view.ts";
import { runCli } from "./fake-io.ts";

let view: ScriptedView;
let server: AdminServer;

beforeEach(async () => {
  view = new ScriptedView();
  server = await startAdminServer(view);
});

afterEach(() => server.close());

const cli = (line: string) => runCli(line.split(" "), { url: server.url });

describe("launch", () => {
  it("sends every wish", async () => {
    const wishes = "--precision fp8 --engine vllm --recipe big --replicas 2 --gpus 0,0000:c1:00.0 --name mine";
    await cli(`launch org/big 4 ${wishes} --keep-alive 30m --detach`);
    expect(view.launches).toEqual([
      {
        model: "org/big",
        gpus: 4,
        precision: "fp8",
        engine: "vllm",
        recipe: "big",
        keepAliveMs: 1_800_000,
        replicas: 2,
        on: ["0", "0000:c1:00.0"],
        name: "mine",
      },
    ]);
  });

  it("sends nothing that was not wished, and knows --ttl", async () => {
    await cli("launch demo -d");
    await cli("launch demo -d --ttl 5m");
    expect(view.launches).toEqual([{ model: "demo" }, { model: "demo", keepAliveMs: 300_000 }]);
  });

  it("pins, and refuses an idle time beside it", async () => {
    await cli("launch demo -d --pin");
    expect(view.launches).toEqual([{ model: "demo", pinned: true }]);
    const { code, stderr } = await cli("launch demo -d --pin --ttl 5m");
    expect(code).toBe(2);
    expect(stderr).toContain("'--pin' cannot be used with option '--ttl, --keep-alive <duration>'");
    expect(view.launches).toHaveLength(1);
  });

  it("hands over unread what stands after --", async () => {
    await cli("launch demo -d -- --max-model-len 4096 --help -- --detach=x");
    await cli("launch demo 2 -d -- --seed 1");
    expect(view.launches).toEqual([
      { model: "demo", flags: ["--max-model-len", "4096", "--help", "--", "--detach=x"] },
      { model: "demo", gpus: 2, flags: ["--seed", "1"] },
    ]);
  });

  it("passes on what the gateway finds wrong with a wish", async () => {
    view.onLaunch = async () => {
      throw new AimError("invalid_value", "there is no GPU 9; there are 0 and 1");
    };
    const { code, stderr } = await cli("launch demo --gpus 9");
    expect({ code, stderr }).toEqual({ code: 2, stderr: "aim-engine: there is no GPU 9; there are 0 and 1\n" });
  });
});

const evicting: Partial<ExplanationView> = {
  model: "org/big",
  verdict: "evicts",
  summary: "org/big would start after demo-1 was stopped",
  recipe: "big-bf16",
  profile: "2_gpu",
  runtime: "docker",
  image: "rocm/vllm:latest",
  argv: ["vllm", "serve", "org/big", "--chat-template", "a 'b'"],
  gpus: ["0000:01:00.0", "0000:02:00.0"],
  evicts: [{ replica: "demo-1", reason: "idle for 4m" }],
  reasons: ["big-bf16 is the only recipe", "2 GPUs of one NUMA node"],
};

const EVICTING = `\
MODEL     org/big
VERDICT   evicts: org/big would start after demo-1 was stopped
RECIPE    big-bf16
PROFILE   2_gpu
RUNTIME   docker
IMAGE     rocm/vllm:latest
COMMAND   vllm serve org/big --chat-template 'a '\\''b'\\'''
GPUS      0000:01:00.0, 0000:02:00.0
EVICTS    demo-1: idle for 4m
WHY       big-bf16 is the only recipe
          2 GPUs of one NUMA node
`;

describe("explain", () => {
  it("says what would happen, with what, and why", async () => {
    view.onExplain = () => makeExplanation(evicting);
    expect(await cli("explain org/big 2 --precision bf16 --engine vllm --recipe big-bf16")).toEqual({
      code: 0,
      stdout: EVICTING,
      stderr: "",
    });
    const { explained, launches } = view;
    expect({ explained, launches }).toEqual({
      explained: [{ model: "org/big", gpus: 2, precision: "bf16", engine: "vllm", recipe: "big-bf16" }],
      launches: [],
    });
  });

  it("leaves out what is not known, and exits 0 whatever it found", async () => {
    const { recipe: _recipe, profile: _profile, runtime: _runtime, ...refused } = makeExplanation();
    view.onExplain = () => ({ ...refused, verdict: "refused", summary: "it needs 9 GPUs", reasons: [] });
    expect(await cli("explain demo 9")).toEqual({
      code: 0,
      stdout: "MODEL     demo\nVERDICT   refused: it needs 9 GPUs\n",
      stderr: "",
    });
  });

  it("names the word for why, under which events and metrics know it", async () => {
    view.onExplain = () =>
      makeExplanation({ verdict: "waits", why: "resident", summary: "one gives way in about 50 s" });
    expect((await cli("explain demo")).stdout).toContain("VERDICT   waits (resident): one gives way in about 50 s\n");
    view.onExplain = () => makeExplanation({ verdict: "wakes", why: "requests", summary: "demo-1 would be woken" });
    expect(await cli("explain demo")).toMatchObject({ code: 0, stdout: expect.stringContaining("wakes (requests): ") });
  });

  it("prints what the admin API answers with --json", async () => {
    const { stdout } = await cli("explain demo --json");
    expect(JSON.parse(stdout)).toEqual({ explanation: makeExplanation() });
  });

  it("suggests the model that was probably meant", async () => {
    view.onExplain = () => {
      throw new AimError("model_not_found", "there is no model org/bgi");
    };
    expect(await cli("explain org/bgi")).toEqual({
      code: 3,
      stdout: "",
      stderr: 'aim-engine: there is no model org/bgi\nDid you mean "org/big"?\n',
    });
  });
});

describe("launch --dry-run", () => {
  it("shows the same and launches nothing", async () => {
    view.onExplain = () => makeExplanation(evicting);
    const { code, stdout } = await cli("launch org/big --dry-run --name mine -- --seed 1");
    expect({ code, stdout }).toEqual({ code: 0, stdout: EVICTING });
    const { explained, launches } = view;
    expect({ explained, launches }).toEqual({
      explained: [{ model: "org/big", name: "mine", flags: ["--seed", "1"] }],
      launches: [],
    });
  });

  it.each([
    ["serves", 0],
    ["starts", 0],
    ["evicts", 0],
    ["waits", 6],
    ["refused", 7],
  ] as const)("exits as the launch would where it %s: %d", async (verdict, exitCode) => {
    view.onExplain = () => makeExplanation({ verdict });
    const { code, stdout } = await cli("launch demo --dry-run");
    expect(code).toBe(exitCode);
    expect(stdout).toContain(`VERDICT   ${verdict}: `);
  });
});
