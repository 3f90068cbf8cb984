import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { run } from "../../src/cli/program.ts";
import { VERSION } from "../../src/cli/version.ts";
import { startAdminServer, type AdminServer } from "../admin/admin-server.ts";
import { makeGpu, makeModel, makeReplica, ScriptedView } from "../admin/scripted-view.ts";
import { FakeClock } from "../support/clock.ts";
import { until } from "../support/until.ts";
import { fakeIo, runCli, type FakeIoOptions } from "./fake-io.ts";

let view: ScriptedView;
let server: AdminServer;

beforeEach(async () => {
  view = new ScriptedView();
  server = await startAdminServer(view);
});

afterEach(() => server.close());

const cli = (argv: string, options: FakeIoOptions = {}) =>
  runCli(argv.split(" "), { url: server.url, clock: new FakeClock(), ...options });

/** FakeClock begins at 2026-01-01T00:00:00Z. */
const busy = makeReplica({ gpus: ["0000:c1:00.0"], inFlight: 3, startedAt: "2025-12-31T23:55:50.000Z" });
const idle = makeReplica({ name: "big-1", model: "org/big", idleUntil: "2026-01-01T00:04:10.000Z" });
const failed = makeReplica({ name: "demo-2", state: "failed", reason: "out of memory" });

describe("ps", () => {
  it("shows replicas as columns, and says what it does not show", async () => {
    view.replicaList = [busy, { ...idle, idleUntil: "forever" }, failed];
    const { code, stdout, stderr } = await cli("ps");
    expect(code).toBe(0);
    expect(stdout).toBe(
      [
        "NAME     MODEL     STATE   GPUS   IN-FLIGHT   UPTIME   UNTIL",
        "demo-1   demo      ready   1      3           4m 10s   -",
        "big-1    org/big   ready   -      0           0 s      forever",
        "",
      ].join("\n"),
    );
    expect(stderr).toBe("1 that failed or ended not shown: aim-engine ps -a\n");
  });

  it("shows all of them with -a, and the names alone with -q", async () => {
    view.replicaList = [idle, failed];
    expect((await cli("ps -a")).stdout).toContain("failed (out of memory)");
    expect((await cli("ps -a")).stdout).toContain("4m 10s");
    expect(await cli("ps -q")).toEqual({ code: 0, stdout: "big-1\n", stderr: "" });
    expect((await cli("ps -aq")).stdout).toBe("big-1\ndemo-2\n");
  });

  it("says how long a start will take, once and not to the second", async () => {
    view.replicaList = [
      makeReplica({ state: "loading", reason: "loading weights 62%", etaSeconds: 37 }),
      makeReplica({ name: "demo-2", state: "loading", reason: "compiling", etaSeconds: 247 }),
      makeReplica({ name: "demo-3", state: "pulling", reason: "about 3m left", etaSeconds: 180 }),
      makeReplica({ name: "demo-4", state: "starting", reason: "starting", etaSeconds: 0 }),
    ];
    const { stdout } = await cli("ps");
    expect(stdout.split("\n").map((line) => line.split("   ").slice(2)[0]?.trim())).toEqual([
      "STATE",
      "loading (weights 62%, about 40 s left)",
      "loading (compiling, about 4m 10s left)",
      "pulling (about 3m left)",
      "starting",
      undefined,
    ]);
  });

  it("shows models that failed with -a, where no replica of them is left", async () => {
    view.replicaList = [idle];
    view.modelList = [
      makeModel({ status: "failed", reason: "out_of_memory: no room for the weights" }),
      makeModel({ model: "org/big", status: "failed", reason: "its replica says more" }),
    ];
    expect((await cli("ps")).stdout).not.toContain("failed");
    expect((await cli("ps -a")).stdout.split("\n").slice(2)).toEqual([
      "-       demo      failed (out_of_memory: no room for the weights)   -      -           -        -",
      "",
    ]);
    expect((await cli("ps -aq")).stdout).toBe("big-1\n");
  });

  it("says what sleeps, wakes up or is pinned, and what becomes of the others", async () => {
    const gpus = ["0000:c1:00.0"];
    view.replicaList = [
      makeReplica({ gpus, sleepsAt: "2026-01-01T00:04:00.000Z", idleUntil: "2026-01-01T01:00:00.000Z" }),
      makeReplica({ name: "demo-2", gpus, state: "dozing", reason: "idle for 5m" }),
      makeReplica({ name: "demo-3", gpus, state: "sleeping", reason: "asleep", idleUntil: "2026-01-01T00:55:00.000Z" }),
      makeReplica({ name: "demo-4", gpus, state: "waking", reason: "2 waiting for demo", etaSeconds: 3 }),
      makeReplica({ name: "demo-5", gpus, gpuShare: 0.4, pinned: true, idleUntil: "forever" }),
      makeReplica({ name: "demo-6", gpus, sleepsAt: "2025-12-31T23:59:59.000Z", idleUntil: "forever" }),
    ];
    expect((await cli("ps")).stdout).toBe(
      [
        "NAME     MODEL   STATE                                            GPUS      IN-FLIGHT   UPTIME   UNTIL",
        "demo-1   demo    ready                                            1         0           0 s      sleeps in 4m",
        "demo-2   demo    falling asleep (idle for 5m)                     1         0           0 s      -",
        "demo-3   demo    sleeping                                         1         0           0 s      55m",
        "demo-4   demo    waking up (2 waiting for demo, about 3 s left)   1         0           0 s      -",
        "demo-5   demo    ready                                            1 × 0.4   0           0 s      pinned",
        "demo-6   demo    ready                                            1         0           0 s      sleeps now",
        "",
      ].join("\n"),
    );
  });

  it("gives a terminal no orders that come from a name or a reason, and a pipe every byte", async () => {
    view.replicaList = [
      makeReplica({ model: "de\u001b]52;c;eA==\u0007mo\u202e", state: "failed", reason: "\u001b[2J!" }),
    ];
    const onTerminal = (await cli("ps -a", { tty: true })).stdout;
    expect(onTerminal).toContain("demo");
    expect(onTerminal).not.toMatch(/[\u001b\u0007\u202e]/); // oxlint-disable-line no-control-regex
    expect((await cli("ps -a")).stdout).toContain("\u001b[2J");
  });
});

describe("--json", () => {
  it("prints exactly what the admin API answers", async () => {
    view.replicaList = [busy, failed];
    view.gpuList = [makeGpu()];
    view.problemList = [{ file: "recipes/broken.yaml", message: "line 3: what is this" }];
    server.events.publish({ type: "replica:ready", message: "demo-1 is ready" });
    const paths = { ps: "replicas", models: "models", recipes: "recipes", gpus: "gpus", version: "version" };
    for (const [verb, path] of Object.entries(paths)) {
      const answer: unknown = await (await fetch(`${server.url}/api/${path}`)).json();
      const { code, stdout, stderr } = await cli(`${verb} --json`);
      expect({ verb, code, stderr, answer: JSON.parse(stdout) }).toEqual({ verb, code: 0, stderr: "", answer });
    }
    expect(JSON.parse((await cli("events --json")).stdout)).toEqual({ events: server.events.since(0) });
  });
});

describe("tables", () => {
  it("shows models with the reason of those that cannot be had", async () => {
    view.modelList = [
      makeModel({ model: "org/big", aliases: ["big", "b"], status: "unavailable", reason: "cannot reach Docker" }),
      makeModel({ status: "ready", replicas: 1, inFlight: 2, waiting: 3 }),
    ];
    expect((await cli("models")).stdout).toBe(
      [
        "MODEL     STATUS        REPLICAS   IN-FLIGHT   WAITING   ALIASES   REASON",
        "demo      ready         1          2           3         -         -",
        "org/big   unavailable   0          0           0         big, b    cannot reach Docker",
        "",
      ].join("\n"),
    );
  });

  it("shows recipes with the default profile marked, and problems as notes", async () => {
    const profiles = [
      { id: "1_gpu", gpus: 1, default: false },
      { id: "4_gpu", gpus: 4, default: true },
    ];
    view.recipeList = [
      {
        id: "big-fp8",
        model: "org/big",
        aliases: [],
        engine: "vllm",
        runtime: "docker",
        precision: "fp8",
        hardware: ["MI300X"],
        profiles,
        file: "recipes/big-fp8.yaml",
      },
    ];
    view.problemList = [
      { file: "recipes/broken.yaml", message: "line 3: what is this" },
      { file: "recipes/other.yaml", message: "recipes/other.yaml:3:1: what is that" },
    ];
    const { stdout, stderr } = await cli("recipes");
    expect(stdout).toMatch(/^RECIPE +MODEL +ENGINE +RUNTIME +PRECISION +HARDWARE +GPUS\n/);
    expect(stdout).toMatch(/big-fp8 +org\/big +vllm +docker +fp8 +MI300X +1, 4\*\n/);
    expect(stderr).toBe(
      "cannot be used: recipes/broken.yaml: line 3: what is this\ncannot be used: recipes/other.yaml:3:1: what is that\n",
    );
  });

  it("shows what happened", async () => {
    server.events.publish({ type: "replica:ready", message: "demo-1 is ready" });
    expect((await cli("events")).stdout).toMatch(/^TIME +TYPE +MESSAGE\n20\S+Z +replica:ready +demo-1 is ready\n$/);
  });
});

describe("events", () => {
  it("are those that were asked for", async () => {
    server.events.publish({ type: "decision:stop:idle", message: "one", model: "demo", replica: "demo-1" });
    server.events.publish({ type: "decision:start:requests", message: "two", model: "org/big" });
    const { stdout } = await cli("events --type decision --model org/big");
    expect(stdout).toMatch(/^TIME +TYPE +MESSAGE\n\S+ +decision:start:requests +two\n$/);
    expect((await cli("events --replica demo-1")).stdout).toContain("one");
  });
});

describe("events -f", () => {
  const follow = (argv: string[]) => {
    const fake = fakeIo({ url: server.url });
    return { ...fake, exit: run(argv, fake.io) };
  };

  it("shows what was and what comes, until Ctrl-C", async () => {
    server.events.publish({ type: "model:cold", message: "one" });
    const { written, exit, pressCtrlC } = follow(["events", "-f"]);
    await until(() => written.stdout.includes("one"));
    server.events.publish({ type: "model:ready", message: "two" });
    await until(() => written.stdout.includes("model:ready                   two\n"));
    pressCtrlC();
    expect(await exit).toBe(130);
    expect(written.stderr).toBe("");
    await until(() => server.events.followers === 0);
  });

  it("is one event a line with --json", async () => {
    const { written, exit, pressCtrlC } = follow(["events", "-f", "--json"]);
    await until(() => server.events.followers === 1);
    for (const message of ["one", "two"]) server.events.publish({ type: "x", message });
    await until(() => written.stdout.includes("two"));
    const lines = written.stdout.trimEnd().split("\n");
    expect(lines.map((line): unknown => JSON.parse(line))).toEqual(server.events.since(0));
    pressCtrlC();
    await exit;
  });

  it("says so when the gateway ends it", async () => {
    const { written, exit } = follow(["events", "-f"]);
    await until(() => server.events.followers === 1);
    server.stopStreams();
    expect(await exit).toBe(5);
    expect(written.stderr).toContain("ended the stream");
  });
});

describe("logs", () => {
  beforeEach(() => {
    view.replicaList = [busy, idle];
    view.logLines.set("demo-1", ["one", "two", "\u001b[31mthree"]);
    view.logLines.set("big-1", ["big"]);
  });

  it("shows the last lines of a replica", async () => {
    expect(await cli("logs demo-1 --tail 2", { tty: true })).toEqual({ code: 0, stdout: "two\nthree\n", stderr: "" });
    expect((await cli("logs demo-1")).stdout).toBe("one\ntwo\n\u001b[31mthree\n");
    expect((await cli("logs demo-1 --json --tail 1")).stdout).toBe('{"text":"\\u001b[31mthree"}\n');
  });

  it("takes a model or an alias for its one replica", async () => {
    expect((await cli("logs org/big")).stdout).toBe("big\n");
    expect((await cli("logs big")).stdout).toBe("big\n");
  });

  it("asks for one of several, and says what is not running or not known", async () => {
    view.replicaList = [busy, makeReplica({ name: "demo-2" })];
    const several = await cli("logs demo");
    expect(several).toMatchObject({ code: 2 });
    expect(several.stderr).toContain("demo-1, demo-2");
    const cold = await cli("logs big");
    expect(cold).toMatchObject({ code: 3 });
    expect(cold.stderr).toContain("aim-engine launch org/big");
    const unknown = await cli("logs demo-12");
    expect(unknown).toMatchObject({ code: 3 });
    expect(unknown.stderr).toContain('Did you mean "demo-1"?');
  });

  it("shows what is left of a start that failed", async () => {
    view.replicaList = [];
    view.modelList = [makeModel({ status: "failed", lastLines: ["one", "two", "three"] })];
    expect(await cli("logs demo --tail 2")).toEqual({
      code: 0,
      stdout: "two\nthree\n",
      stderr: "demo is not running; its last start failed with these lines:\n",
    });
    expect((await cli("logs demo --tail 0")).stdout).toBe("");
    expect((await cli("logs demo --json --tail 1")).stdout).toBe('{"text":"three"}\n');
  });

  it("follows until Ctrl-C and leaves nothing open at the gateway", async () => {
    view.onFollow = async function* (signal) {
      yield "four";
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    };
    const { io, written, pressCtrlC } = fakeIo({ url: server.url });
    const exit = run(["logs", "-f", "demo-1"], io);
    await until(() => written.stdout.endsWith("four\n"));
    pressCtrlC();
    expect(await exit).toBe(130);
    await until(() => view.openLogs === 0);
  });

  it("fails when the log breaks off", async () => {
    view.onFollow = async function* () {
      yield "four";
      throw new Error("the disk is gone");
    };
    const { code, stderr } = await cli("logs -f demo-1");
    expect(code).toBe(1);
    expect(stderr).toContain("aim-engine: the log of demo-1 broke off: the disk is gone\n");
  });
});

describe("version", () => {
  it("shows both versions, and its own without a gateway", async () => {
    expect(await cli("version")).toEqual({
      code: 0,
      stdout: `aim-engine ${VERSION}\ngateway    1.2.3 at ${server.url}/\n`,
      stderr: "",
    });
    const alone = await cli("version", { url: "http://127.0.0.1:1" });
    expect(alone).toMatchObject({ code: 0, stdout: `aim-engine ${VERSION}\n` });
    expect(alone.stderr).toContain("cannot reach");
    expect((await cli("version --json", { url: "http://127.0.0.1:1" })).code).toBe(5);
  });
});
