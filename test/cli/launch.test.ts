import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AimError } from "../../src/errors.ts";
import { startAdminServer, type AdminServer } from "../admin/admin-server.ts";
import { makeExplanation, makeModel, makeReplica, ScriptedView } from "../admin/scripted-view.ts";
import { until } from "../support/until.ts";
import { runCli, type FakeIoOptions } from "./fake-io.ts";
import { screenOf } from "./fake-screen.ts";
import { scriptLooks, startCli, type Look } from "./timed-cli.ts";

let view: ScriptedView;
let server: AdminServer;

beforeEach(async () => {
  view = new ScriptedView();
  server = await startAdminServer(view);
});

afterEach(() => server.close());

const script = (...looks: Look[]) => scriptLooks(view, ...looks);

const start = (argv: string[], options: FakeIoOptions = {}) =>
  startCli(["launch", ...argv], { url: server.url, ...options });

describe("launch", () => {
  it("waits until the replica is ready, one line per change, and prints its name", async () => {
    script(
      { state: "pending", reason: "asked for; demo is the only recipe" },
      { state: "pulling" },
      { state: "loading", reason: "weights 10%" },
      { state: "loading", reason: "weights 62%" },
      { state: "ready", reason: "ready" },
    );
    const { code, stdout, stderr, timers } = await start(["demo"]).end();
    expect({ code, stdout, timers }).toEqual({ code: 0, stdout: "demo-1\n", timers: 0 });
    expect(stderr.replaceAll(/ {2}\d+ s$/gm, "  N s").split("\n")).toEqual([
      "demo is the only recipe",
      "demo-1  pending  N s",
      "demo-1  pulling  N s",
      "demo-1  loading: weights 10%  N s",
      "demo-1  ready  N s",
      "",
    ]);
  });

  it("rewrites its line on a terminal, but keeps the last one of each phase", async () => {
    script({ state: "loading", reason: "10%" }, { state: "loading", reason: "62%\u001b[5m" }, { state: "ready" });
    const { stderr } = await start(["demo"], { tty: true }).end();
    expect(screenOf(stderr).map((line) => line.replace(/\d+ s$/, "N s"))).toEqual([
      "demo is the only recipe",
      "demo-1  pending  N s",
      "demo-1  loading: 62%  N s",
      "demo-1  ready  N s",
    ]);
  });

  it("leaves a line for each phase of the engine on a terminal", async () => {
    const reasons = [
      "loading weights 10%",
      "loading weights 100%",
      "weights loaded",
      "compiling",
      "capturing graphs 40%",
    ];
    script(...reasons.map((reason) => ({ state: "loading", reason, etaSeconds: 42 })), { state: "ready" });
    const { stderr } = await start(["demo"], { tty: true }).end();
    expect(screenOf(stderr).map((line) => line.replace(/\d+ s$/, "N s"))).toEqual([
      "demo is the only recipe",
      "demo-1  pending  N s",
      "demo-1  loading: weights 100%  N s",
      "demo-1  loading: weights loaded  N s",
      "demo-1  loading: compiling  N s",
      "demo-1  loading: capturing graphs 40%  N s",
      "demo-1  ready  N s",
    ]);
  });

  it("moves no cursor where CI or NO_COLOR ask for plain lines", async () => {
    for (const name of ["CI", "NO_COLOR"]) {
      script({ state: "ready" });
      const env = { AIM_ENGINE_URL: server.url, [name]: "1" };
      expect((await start(["demo"], { tty: true, env }).end()).stderr).not.toContain("\u001b");
    }
  });

  it("moves no cursor on a terminal that does not know its width", async () => {
    script({ state: "ready" });
    expect((await start(["demo"], { tty: true, columns: 0 }).end()).stderr).not.toContain("\u001b");
  });

  it("is done at once with a replica that is ready already", async () => {
    const replica = makeReplica();
    view.onLaunch = async () => ({ replica, replicas: [replica], created: false, reasons: ["one is there"] });
    expect(await runCli(["launch", "demo"], { url: server.url })).toEqual({
      code: 0,
      stdout: "demo-1\n",
      stderr: "demo-1 is there already (ready)\n",
    });
  });

  it("joins the wait for a replica that somebody else started", async () => {
    const replica = makeReplica({ state: "loading" });
    view.onLaunch = async () => ({ replica, replicas: [replica], created: false, reasons: [] });
    script({ state: "ready" });
    const { code, stdout, stderr } = await start(["demo"]).end();
    expect({ code, stdout }).toEqual({ code: 0, stdout: "demo-1\n" });
    expect(stderr).toContain("demo-1 is there already (loading)");
  });

  it("does not wait with --detach", async () => {
    const { code, stdout } = await runCli(["launch", "demo", "--detach"], { url: server.url });
    expect({ code, stdout }).toEqual({ code: 0, stdout: "demo-1\n" });
  });
});

describe("a launch that fails", () => {
  const lines = Array.from({ length: 50 }, (_, line) => `line ${line}`);

  it("shows the reason, the last 20 lines and one hint, and exits 7", async () => {
    view.logLines.set("demo-1", lines);
    script({ state: "loading" }, { state: "failed", reason: "out_of_memory: HIP out of memory" });
    const { code, stdout, stderr } = await start(["demo"]).end();
    expect({ code, stdout }).toEqual({ code: 7, stdout: "" });
    const [hint, reason, ...log] = stderr.trimEnd().split("\n").reverse();
    expect(reason).toBe("aim-engine: demo-1 did not start: out_of_memory: HIP out of memory");
    expect(hint).toContain("aim-engine logs demo-1");
    expect(log.slice(0, 20).reverse()).toEqual(lines.slice(-20).map((line) => `  ${line}`));
    expect(log[20]).toContain("failed");
  });

  it("takes reason and last lines from the model when the replica was cleared away", async () => {
    const lastLines = Array.from({ length: 50 }, (_, line) => `last ${line}`);
    view.modelList = [makeModel({ status: "failed", reason: "exited with code 3", lastLines })];
    script({ state: "starting" }, "absent");
    const { code, stderr } = await start(["demo"]).end();
    expect(code).toBe(7);
    expect(stderr).toMatch(/ {2}last 30\n[^]* {2}last 49\naim-engine: demo-1 did not start: exited with code 3\n/);
    expect(stderr).not.toContain("last 29\n");
    expect(stderr).toMatch(/\nMore of its output: aim-engine logs demo-1\n$/);
  });

  it("says once that it failed, and offers no output where none is kept", async () => {
    const reason = "demo could not be started: cannot pull image none/such:1: no such host";
    view.modelList = [makeModel({ status: "failed", reason, lastLines: [] })];
    script({ state: "pulling" }, "absent");
    const { stderr } = await start(["demo"]).end();
    expect(stderr).toMatch(/\naim-engine: demo-1 did not start: cannot pull image none\/such:1: no such host\n$/);
  });

  it("says so when somebody stopped it", async () => {
    script({ state: "starting" }, "absent");
    const { code, stderr } = await start(["demo"]).end();
    expect(code).toBe(7);
    expect(stderr).toMatch(/did not start: it was stopped before it was ready\n$/);
  });

  it.each([
    ["model_not_found", 3],
    ["conflict", 4],
    ["no_capacity", 6],
    ["model_start_failed", 7],
    ["model_unavailable", 7],
    ["invalid_value", 2],
    ["internal_error", 1],
  ] as const)("exits with the code for %s: %d", async (errorCode, exitCode) => {
    view.onLaunch = async () => {
      throw new AimError(errorCode, "no");
    };
    const { code, stdout } = await runCli(["launch", "org/bigg"], { url: server.url });
    expect({ code, stdout }).toEqual({ code: exitCode, stdout: "" });
  });

  it("suggests the model that was probably meant", async () => {
    view.onLaunch = async () => {
      throw new AimError("model_not_found", "there is no model org/bgi");
    };
    const { stderr } = await runCli(["launch", "org/bgi"], { url: server.url });
    expect(stderr).toBe('aim-engine: there is no model org/bgi\nDid you mean "org/big"?\n');
  });
});

describe("a launch that is left", () => {
  beforeEach(() => script({ state: "loading", reason: "weights 10%" }));

  it("detaches at Ctrl-C, says how to stop it, and exits 130", async () => {
    const launch = start(["demo"]);
    await launch.wrote("10%");
    launch.pressCtrlC();
    const { code, stdout, stderr, timers } = await launch.end();
    expect({ code, stdout, timers }).toEqual({ code: 130, stdout: "", timers: 0 });
    expect(stderr).toMatch(/detached: demo-1 goes on starting; stop it with: aim-engine stop demo-1\n$/);
    expect(view.stops).toEqual([]);
  });

  it("stops waiting at its time limit and exits 124", async () => {
    const { code, stderr } = await start(["demo", "--timeout", "1m"]).end();
    expect(code).toBe(124);
    expect(stderr).toMatch(/not ready after 1m: demo-1 goes on starting; stop it with: aim-engine stop demo-1\n$/);
  });

  it("says what becomes of a launch that was not even answered", async () => {
    view.onLaunch = () => new Promise(() => {});
    const launch = start(["demo"]);
    await until(() => view.launches.length === 1);
    launch.pressCtrlC();
    const { code, stderr, timers } = await launch.end();
    expect({ code, timers }).toEqual({ code: 130, timers: 0 });
    expect(stderr).toMatch(/detached: the launch is withdrawn unless it has begun: see aim-engine ps\n$/);
  });

  it("says what a launch waits for that is not answered soon", async () => {
    view.onLaunch = () => new Promise(() => {});
    view.onExplain = () => makeExplanation({ verdict: "waits", summary: "all 8 GPUs are busy" });
    const launch = start(["demo", "--timeout", "1m"]);
    await launch.wrote("waiting: all 8 GPUs are busy\n");
    const { code, stderr, timers } = await launch.end();
    expect({ code, timers }).toEqual({ code: 124, timers: 0 });
    expect(stderr.match(/waiting/g)).toHaveLength(1);
  });

  it("sits out a restart of the gateway, but not for ever", async () => {
    const launch = start(["demo"]);
    await launch.wrote("10%");
    const port = Number(new URL(server.url).port);
    await server.close();
    await launch.pass();
    server = await startAdminServer(view, { port });
    script({ state: "ready" });
    expect(await launch.end()).toMatchObject({ code: 0, stdout: "demo-1\n" });

    script({ state: "loading", reason: "weights 10%" });
    const other = start(["demo"]);
    await until(() => other.written.stderr.includes("pending"));
    await server.close();
    expect(await other.end()).toMatchObject({ code: 5 });
    server = await startAdminServer(view);
  });
});
