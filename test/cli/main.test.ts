import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VERSION } from "../../src/cli/version.ts";
import { startAdminServer, type AdminServer } from "../admin/admin-server.ts";
import { makeReplica, ScriptedView } from "../admin/scripted-view.ts";
import { until } from "../support/until.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
let view: ScriptedView;
let server: AdminServer;

beforeEach(async () => {
  view = new ScriptedView();
  server = await startAdminServer(view);
});

afterEach(() => server.close());

function start(...argv: string[]) {
  const child = spawn(process.execPath, [MAIN, ...argv], { env: { AIM_ENGINE_URL: server.url } });
  const written = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk) => (written.stdout += String(chunk)));
  child.stderr.on("data", (chunk) => (written.stderr += String(chunk)));
  const ended = once(child, "close").then(() => ({ code: child.exitCode, signal: child.signalCode, ...written }));
  return { child, written, ended };
}

describe("the program", () => {
  it("says its version", async () => {
    expect(await start("--version").ended).toEqual({ code: 0, signal: null, stdout: `${VERSION}\n`, stderr: "" });
  });

  it("exits with the command's code", async () => {
    expect(await start("nonsense").ended).toMatchObject({ code: 2 });
    expect(await start("stop", "nobody").ended).toMatchObject({ code: 3 });
  });

  it("writes all of a long answer before it ends", async () => {
    view.replicaList = Array.from({ length: 20_000 }, (_, n) => makeReplica({ name: `demo-${n}` }));
    const { code, stdout } = await start("ps", "-q").ended;
    expect(code).toBe(0);
    expect(stdout.trimEnd().split("\n")).toHaveLength(20_000);
  });

  it("ends quietly when the reader of its output leaves", async () => {
    view.replicaList = Array.from({ length: 20_000 }, (_, n) => makeReplica({ name: `demo-${n}` }));
    const { child, ended } = start("ps");
    child.stdout.once("data", () => child.stdout.destroy());
    expect(await ended).toMatchObject({ code: 0, stderr: "" });
  });

  it("detaches from a launch at Ctrl-C", async () => {
    const { child, written, ended } = start("launch", "demo");
    await until(() => written.stderr.includes("pending"));
    child.kill("SIGINT");
    const { code, stdout, stderr } = await ended;
    expect({ code, stdout }).toEqual({ code: 130, stdout: "" });
    expect(stderr).toContain("stop it with: aim-engine stop demo-1");
  });

  it("hands the command line of the simulated engine over unread", async () => {
    const { code, stdout } = await start("sim", "--help").ended;
    expect(code).toBe(0);
    expect(stdout).toContain("usage: vllm serve");
  });
});
