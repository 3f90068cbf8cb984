import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ReplicaView } from "../../src/admin/view.ts";
import { AimError } from "../../src/errors.ts";
import { startAdminServer, type AdminServer } from "../admin/admin-server.ts";
import { launched, makeReplica, ScriptedView } from "../admin/scripted-view.ts";
import { runCli } from "./fake-io.ts";
import { screenOf } from "./fake-screen.ts";
import { scriptLooks, startCli } from "./timed-cli.ts";

const GIB = 2 ** 30;
let view: ScriptedView;
let server: AdminServer;

beforeEach(async () => {
  view = new ScriptedView();
  server = await startAdminServer(view);
});

afterEach(() => server.close());

const launch = (options: { readonly tty?: boolean; readonly columns?: number } = {}) =>
  startCli(["launch", "demo"], { url: server.url, ...options });

const withoutTime = (lines: readonly string[]) => lines.map((line) => line.replace(/ {2}(\d+m )?\d+ s$|  \d+m$/, ""));

/** A pull of so many layers, the first of them done, each of 1 GiB. */
function pulling(layers: number, doneBytes: number): Partial<ReplicaView> {
  const list = Array.from({ length: layers }, (_, index) =>
    index === 0
      ? { id: "layer0", status: "Pull complete", doneBytes: GIB, totalBytes: GIB }
      : { id: `layer${index}`, status: "Downloading", doneBytes, totalBytes: GIB },
  );
  const done = GIB + doneBytes * (layers - 1);
  const pull = {
    kind: "progress" as const,
    image: "rocm/vllm",
    doneBytes: done,
    totalBytes: layers * GIB,
    layers: list,
  };
  return { state: "pulling", reason: "pulling rocm/vllm", etaSeconds: 250, pull };
}

describe("a launch that has to pull", () => {
  it("draws a bar per layer on a terminal, at most eight and their sum, and leaves one line", async () => {
    scriptLooks(view, pulling(12, GIB / 2), pulling(12, GIB / 2), { state: "ready" });
    const start = launch({ tty: true, columns: 100 });
    await start.wrote("layer1 ");
    const during = screenOf(start.written.stderr, 100);
    const { code, stderr } = await start.end();
    const bar = `[${"=".repeat(20)}${" ".repeat(19)}]`;
    expect(during[2]).toMatch(/^demo-1 {2}pulling: 6\.5 GiB of 12 GiB, 54%, about 4m 10s left, \d+ s so far$/);
    expect(during.slice(3)).toEqual([
      ...[1, 2, 3, 4, 5, 6, 7, 8].map((n) => `  layer${n}        Downloading         ${bar}  512 MiB / 1 GiB`),
      `  total         1/12 layers         [${"=".repeat(21)}${" ".repeat(18)}]  6.5 GiB / 12 GiB`,
    ]);
    expect({ code, screen: withoutTime(screenOf(stderr, 100)) }).toEqual({
      code: 0,
      screen: [
        "demo is the only recipe",
        "demo-1  pending",
        "demo-1  pulling: 6.5 GiB of 12 GiB, 54%",
        "demo-1  ready",
      ],
    });
  });

  it("never writes a line that is wider than the terminal", async () => {
    scriptLooks(view, pulling(3, GIB / 2), { state: "ready" });
    const start = launch({ tty: true, columns: 80 });
    await start.wrote("layer1 ");
    for (const line of screenOf(start.written.stderr, 1000)) expect(line.length).toBeLessThanOrEqual(80);
    await start.end();
  });

  it("is one line elsewhere, and another one every half minute while only numbers move", async () => {
    let done = 0;
    view.replicas = () => {
      done += GIB / 1000;
      return [makeReplica(done > GIB * 0.2 ? { state: "ready" } : pulling(2, done))];
    };
    const { stderr } = await launch().end();
    const lines = stderr.split("\n").filter((line) => line.includes("pulling"));
    // 200 looks, half a second each, are 100 s.
    expect(lines).toHaveLength(4);
    expect(lines[0]).toMatch(/^demo-1 {2}pulling: 1 GiB of 2 GiB, 50%, about 4m 10s left, 0 s so far$/);
    expect(stderr).not.toContain("layer1");
  });
});

describe("a launch of several replicas", () => {
  const one = { name: "demo-1", state: "pending" };
  const two = { name: "demo-2", state: "pending" };

  beforeEach(() => {
    view.onLaunch = async () => launched(makeReplica(one), makeReplica(two));
  });

  it("follows all, prints those that are ready, and a terminal shows one block", async () => {
    scriptLooks(
      view,
      [
        { ...one, state: "loading", reason: "loading weights 10%", etaSeconds: 90 },
        { ...two, state: "starting" },
      ],
      [
        { ...one, state: "ready" },
        { ...two, state: "loading" },
      ],
      [
        { ...one, state: "ready" },
        { ...two, state: "ready" },
      ],
    );
    const { code, stdout, stderr, timers } = await launch({ tty: true }).end();
    expect({ code, stdout, timers }).toEqual({ code: 0, stdout: "demo-1\ndemo-2\n", timers: 0 });
    expect(screenOf(stderr)).toEqual([
      "demo is the only recipe",
      "demo-1  pending  0 s",
      "demo-2  pending  0 s",
      "demo-1  loading: weights 10%  0 s",
      "demo-2  starting  0 s",
      "demo-2  loading  1 s",
      "demo-1  ready  1 s",
      "demo-2  ready  1 s",
    ]);
  });

  it("exits 7 when one fails, with its reason, and still prints the other", async () => {
    scriptLooks(view, [
      { ...one, state: "failed", reason: "out_of_memory: HIP out of memory" },
      { ...two, state: "ready" },
    ]);
    const { code, stdout, stderr } = await launch().end();
    expect({ code, stdout }).toEqual({ code: 7, stdout: "demo-2\n" });
    expect(stderr).toContain("aim-engine: demo-1 did not start: out_of_memory: HIP out of memory\n");
  });

  it("names those that are not ready when it is left", async () => {
    scriptLooks(view, [
      { ...one, state: "ready" },
      { ...two, state: "loading" },
    ]);
    const start = launch();
    await start.wrote("demo-2  loading");
    start.pressCtrlC();
    const { code, stdout, stderr } = await start.end();
    expect({ code, stdout }).toEqual({ code: 130, stdout: "demo-1\n" });
    expect(stderr).toMatch(/detached: demo-2 goes on starting; stop it with: aim-engine stop demo-2\n$/);
  });

  it("says which are there already", async () => {
    const replicas = [
      makeReplica({ state: "ready" }),
      makeReplica({ name: "demo-2", state: "loading", etaSeconds: 8 }),
    ];
    const [replica = makeReplica()] = replicas;
    view.onLaunch = async () => ({ replica, replicas, created: false, reasons: [] });
    expect(await runCli(["launch", "demo", "--detach"], { url: server.url })).toEqual({
      code: 0,
      stdout: "demo-1\ndemo-2\n",
      stderr: "demo-1 is there already (ready)\ndemo-2 is there already (loading (about 8 s left))\n",
    });
  });
});

describe("restart", () => {
  it("restarts each name and waits until all are ready", async () => {
    scriptLooks(view, [{ state: "loading" }, { name: "big-1", state: "loading" }], [{}, { name: "big-1" }]);
    const restart = startCli(["restart", "--force", "demo-1", "big-1"], { url: server.url });
    const { code, stdout, stderr } = await restart.end();
    expect({ code, stdout }).toEqual({ code: 0, stdout: "demo-1\nbig-1\n" });
    expect(stderr).toMatch(/^restarting demo-1, big-1\n/);
    expect(view.restarts).toEqual(["demo-1", "big-1"].map((name) => ({ name, options: { force: true } })));
  });

  it("does not wait with --detach, and tries every name", async () => {
    view.onRestart = async (name) => {
      if (name === "demo-9") throw new AimError("replica_not_found", `there is no replica or model ${name}`);
      return launched(makeReplica({ name, state: "pending" }));
    };
    const { code, stdout, stderr } = await runCli(["restart", "-d", "demo-9", "org/big"], { url: server.url });
    expect({ code, stdout }).toEqual({ code: 3, stdout: "org/big\n" });
    expect(stderr).toContain('aim-engine: there is no replica or model demo-9\nDid you mean "demo"?\n');
  });

  it("says at Ctrl-C that it goes on", async () => {
    view.onRestart = () => new Promise(() => {});
    const restart = startCli(["restart", "demo-1"], { url: server.url });
    await restart.wrote("restarting demo-1");
    restart.pressCtrlC();
    const { code, stderr } = await restart.end();
    expect(code).toBe(130);
    expect(stderr).toContain("detached: the restart goes on: see aim-engine ps\n");
  });
});
