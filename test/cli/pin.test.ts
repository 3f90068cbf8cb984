import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startAdminServer, type AdminServer } from "../admin/admin-server.ts";
import { makeReplica, ScriptedView } from "../admin/scripted-view.ts";
import { runCli } from "./fake-io.ts";

let view: ScriptedView;
let server: AdminServer;

beforeEach(async () => {
  view = new ScriptedView();
  view.replicaList = [makeReplica(), makeReplica({ name: "big-1", model: "org/big" })];
  server = await startAdminServer(view);
});

afterEach(() => server.close());

const cli = (...argv: string[]) => runCli(argv, { url: server.url });

describe("pin and unpin", () => {
  it("print the replicas they are about, named by themselves or by model", async () => {
    expect(await cli("pin", "demo-1", "org/big")).toEqual({ code: 0, stdout: "demo-1\nbig-1\n", stderr: "" });
    expect(await cli("unpin", "big-1")).toEqual({ code: 0, stdout: "big-1\n", stderr: "" });
    expect(view.pins).toEqual([
      { name: "demo-1", pinned: true },
      { name: "org/big", pinned: true },
      { name: "big-1", pinned: false },
    ]);
  });

  it("say what does not run, and still pin the others", async () => {
    const { code, stdout, stderr } = await cli("pin", "dmeo", "demo-1");
    expect({ code, stdout }).toEqual({ code: 3, stdout: "demo-1\n" });
    expect(stderr).toContain("aim-engine: dmeo is not running\n");
  });

  it("want to know what is meant", async () => {
    expect(await cli("pin")).toMatchObject({ code: 2, stdout: "" });
  });
});
