import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AimError } from "../../src/errors.ts";
import { startAdminServer, type AdminServer } from "../admin/admin-server.ts";
import { ScriptedView } from "../admin/scripted-view.ts";
import { runCli } from "./fake-io.ts";

let view: ScriptedView;
let server: AdminServer;

beforeEach(async () => {
  view = new ScriptedView();
  server = await startAdminServer(view);
});

afterEach(() => server.close());

const rm = (...argv: string[]) => runCli(["rm", ...argv], { url: server.url });

describe("rm", () => {
  it("prints what it removed, also of a model, and stops only when told to", async () => {
    view.onRemove = async (name) => (name === "org/big" ? ["big-1", "big-2"] : [name]);
    expect(await rm("demo-1", "org/big")).toEqual({ code: 0, stdout: "demo-1\nbig-1\nbig-2\n", stderr: "" });
    await rm("-f", "demo-2");
    expect(view.removals).toEqual([
      { name: "demo-1", options: { force: false } },
      { name: "org/big", options: { force: false } },
      { name: "demo-2", options: { force: true } },
    ]);
  });

  it("is content where nothing is left", async () => {
    view.onRemove = async () => [];
    expect(await rm("demo")).toEqual({ code: 0, stdout: "", stderr: "nothing is left of demo\n" });
  });

  it("leaves alone what runs, says what to do, and still removes the others", async () => {
    view.onRemove = async (name) => {
      if (name === "demo-1") throw new AimError("conflict", "demo-1 is running: stop it first, or rm --force");
      return [name];
    };
    const { code, stdout, stderr } = await rm("demo-1", "demo-2");
    expect({ code, stdout }).toEqual({ code: 4, stdout: "demo-2\n" });
    expect(stderr).toMatch(/^aim-engine: demo-1 is running: stop it first, or rm --force\n/);
  });
});
