import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { PullView } from "../../src/admin/view.ts";
import { pullBars, pullSummary } from "../../src/cli/pull-bars.ts";
import { AimError } from "../../src/errors.ts";
import { startAdminServer, type AdminServer } from "../admin/admin-server.ts";
import { ScriptedView } from "../admin/scripted-view.ts";
import { until } from "../support/until.ts";
import { runCli, type FakeIoOptions } from "./fake-io.ts";
import { screenOf } from "./fake-screen.ts";
import { startCli } from "./timed-cli.ts";

const MIB = 2 ** 20;
let view: ScriptedView;
let server: AdminServer;

beforeEach(async () => {
  view = new ScriptedView();
  server = await startAdminServer(view);
});

afterEach(() => server.close());

const pull = (options: FakeIoOptions = {}, ...argv: string[]) =>
  runCli(["pull", "org/big", ...argv], { url: server.url, ...options });

function progress(doneMib: number): PullView {
  const layers = [
    { id: "0123456789abcdef", status: "Downloading", doneBytes: doneMib * MIB, totalBytes: 100 * MIB },
    { id: "fedcba9876543210", status: "Waiting", doneBytes: 0 },
  ];
  return { kind: "progress", image: "rocm/vllm:6.4", doneBytes: doneMib * MIB, totalBytes: 100 * MIB, layers };
}

async function* steps(): AsyncGenerator<PullView> {
  yield progress(10);
  yield progress(50);
  yield { kind: "done", image: "rocm/vllm:6.4" };
}

describe("pull", () => {
  it("prints the image; one line of progress where there is no terminal", async () => {
    view.onPull = steps;
    const { code, stdout, stderr } = await pull();
    expect({ code, stdout }).toEqual({ code: 0, stdout: "rocm/vllm:6.4\n" });
    expect(stderr).toMatch(/^rocm\/vllm:6\.4 {2}pulling: 10 MiB of 100 MiB, 10% {2}0 s\n$/);
    expect(view.pulls).toEqual(["org/big"]);
  });

  it("draws bars on a terminal and leaves one line", async () => {
    const { promise: goOn, resolve } = Promise.withResolvers<void>();
    view.onPull = async function* () {
      yield progress(50);
      await goOn;
      yield { kind: "done", image: "rocm/vllm:6.4" };
    };
    const start = startCli(["pull", "org/big"], { url: server.url, tty: true, columns: 80 });
    await start.wrote("total");
    expect(screenOf(start.written.stderr)).toEqual([
      "rocm/vllm:6.4  pulling: 50 MiB of 100 MiB, 50%  0 s",
      "  0123456789ab  Downloading         [==========         ]  50 MiB / 100 MiB",
      "  fedcba987654  Waiting             [                   ]",
      "  total         0/2 layers          [==========         ]  50 MiB / 100 MiB",
    ]);
    resolve();
    const { code, stdout, stderr } = await start.end();
    expect({ code, stdout }).toEqual({ code: 0, stdout: "rocm/vllm:6.4\n" });
    expect(screenOf(stderr)).toEqual([expect.stringMatching(/^rocm\/vllm:6\.4 {2}pulling: 50 MiB of 100 MiB, 50% /)]);
  });

  it("is silent with --quiet, and one object a line with --json", async () => {
    view.onPull = steps;
    expect(await pull({ tty: true }, "-q")).toEqual({ code: 0, stdout: "rocm/vllm:6.4\n", stderr: "" });
    const { stdout, stderr } = await pull({}, "--json");
    expect(stderr).toBe("");
    expect(
      stdout
        .trimEnd()
        .split("\n")
        .map((line): unknown => JSON.parse(line)),
    ).toEqual([progress(10), progress(50), { kind: "done", image: "rocm/vllm:6.4" }]);
  });

  it("says at Ctrl-C what becomes of the pull, and leaves it", async () => {
    view.onPull = async function* (_, signal) {
      yield progress(10);
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    };
    const start = startCli(["pull", "org/big"], { url: server.url });
    await start.wrote("10%");
    start.pressCtrlC();
    const { code, stdout, stderr } = await start.end();
    expect({ code, stdout }).toEqual({ code: 130, stdout: "" });
    expect(stderr).toContain("detached: the pull goes on only if a start needs it; what is complete is kept");
    await until(() => view.openPulls === 0);
  });
});

describe("a pull that fails", () => {
  it("exits 1 with the reason, before and after it began", async () => {
    const failure = new AimError("runtime_failed", "cannot pull rocm/vllm:6.4: unauthorized; docker login");
    view.onPull = async function* () {
      throw failure;
    };
    expect(await pull()).toEqual({ code: 1, stdout: "", stderr: `aim-engine: ${failure.message}\n` });
    view.onPull = async function* () {
      yield progress(10);
      throw failure;
    };
    const { code, stdout, stderr } = await pull({ tty: true });
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(screenOf(stderr).at(-1)).toBe(`aim-engine: ${failure.message}`);
  });

  it("exits 3 for a name that nothing has, and suggests one", async () => {
    view.onPull = async function* () {
      throw new AimError("model_not_found", "there is no model and no image dmeo");
    };
    const { code, stderr } = await runCli(["pull", "dmeo"], { url: server.url });
    expect({ code, stderr }).toEqual({
      code: 3,
      stderr: 'aim-engine: there is no model and no image dmeo\nDid you mean "demo"?\n',
    });
  });

  it("says so when the gateway ends it early", async () => {
    view.onPull = async function* () {
      yield progress(10);
    };
    const { code, stderr } = await pull();
    expect(code).toBe(5);
    expect(stderr).toContain("the gateway ended the pull of org/big before it was done");
  });
});

describe("the bars of a pull", () => {
  const layer = { id: "a", status: "Downloading", doneBytes: 150, totalBytes: 100 };

  it("keep within bounds whatever a registry says", () => {
    const [bar, total] = pullBars({ image: "x", doneBytes: -5, totalBytes: 0, layers: [layer] }, 20);
    expect(bar).toContain("[==========]");
    expect(total).toContain("[==========]");
    expect(pullSummary({ image: "x", doneBytes: 150, totalBytes: 100, layers: [] })).toBe("150 B of 100 B, 100%");
  });

  it("are none where layers are unknown, and say no total that nobody knows", () => {
    expect(pullBars({ image: "x", doneBytes: 5, layers: [] })).toEqual([]);
    expect(pullSummary({ image: "x", doneBytes: 0, layers: [] })).toBe("");
    expect(pullSummary({ image: "x", doneBytes: 2048, layers: [] })).toBe("2 KiB");
  });

  it("show what moves before what waits, and nothing that is done", () => {
    const layers = ["Pull complete", "Waiting", "Already exists", "Extracting", "Retrying in 5 seconds"].map(
      (status, index) => ({ ...layer, id: `layer${index}`, status }),
    );
    const bars = pullBars({ image: "x", doneBytes: 0, layers });
    expect(bars.map((bar) => bar.trim().split(/\s+/)[0])).toEqual(["layer3", "layer4", "layer1", "total"]);
    expect(bars.at(-1)).toContain("2/5 layers");
  });
});
