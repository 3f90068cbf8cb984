import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AimError } from "../../src/errors.ts";
import { run } from "../../src/cli/program.ts";
import { startAdminServer, type AdminServer } from "../admin/admin-server.ts";
import { makeReplica, ScriptedView } from "../admin/scripted-view.ts";
import { FakeClock } from "../support/clock.ts";
import { until } from "../support/until.ts";
import { fakeIo, runCli } from "./fake-io.ts";

let view: ScriptedView;
let server: AdminServer;

beforeEach(async () => {
  view = new ScriptedView();
  view.replicaList = [makeReplica(), makeReplica({ name: "big-1", model: "org/big" })];
  server = await startAdminServer(view);
});

afterEach(() => server.close());

const cli = (...argv: string[]) => runCli(argv, { url: server.url });

describe("stop", () => {
  it("prints the replicas it stopped, named by themselves or by model", async () => {
    expect(await cli("stop", "demo-1", "org/big")).toEqual({ code: 0, stdout: "demo-1\nbig-1\n", stderr: "" });
    expect(view.stops.map(({ name }) => name)).toEqual(["demo-1", "org/big"]);
  });

  it("lets requests finish unless told otherwise", async () => {
    await cli("stop", "demo-1");
    await cli("stop", "--force", "big-1");
    expect(view.stops.map(({ options }) => options.force)).toEqual([false, true]);
  });

  it("is content with a model that is not running", async () => {
    view.replicaList = [];
    for (let time = 1; time <= 2; time++)
      expect(await cli("stop", "demo")).toEqual({ code: 0, stdout: "", stderr: "demo is not running\n" });
  });

  it("says when a name is unknown, what it may have meant, and still stops the others", async () => {
    const { code, stdout, stderr } = await cli("stop", "dmeo", "demo-1");
    expect({ code, stdout }).toEqual({ code: 3, stdout: "demo-1\n" });
    expect(stderr).toBe('aim-engine: there is no replica or model dmeo\nDid you mean "demo"?\n');
  });

  it("proposes no name that was given", async () => {
    view.onRestart = async () => {
      throw new AimError("replica_not_found", 'demo is not running; "aim-engine launch demo" starts it');
    };
    expect(await cli("restart", "demo")).toEqual({
      code: 3,
      stdout: "",
      stderr: 'restarting demo\naim-engine: demo is not running; "aim-engine launch demo" starts it\n',
    });
  });

  it("takes everything down with --all, and says when there is nothing", async () => {
    expect(await cli("stop", "--all")).toEqual({ code: 0, stdout: "demo-1\nbig-1\n", stderr: "" });
    expect(await cli("stop", "--all")).toEqual({ code: 0, stdout: "", stderr: "nothing is running\n" });
  });

  describe("while requests still drain", () => {
    beforeEach(() => {
      view.stop = (name, options) => {
        view.stops.push({ name, options });
        return new Promise(() => {});
      };
    });

    it("leaves at Ctrl-C and says what goes on", async () => {
      const { io, written, pressCtrlC } = fakeIo({ url: server.url });
      const exit = run(["stop", "demo-1", "big-1"], io);
      await until(() => view.stops.length === 2);
      pressCtrlC();
      expect(await exit).toBe(130);
      expect(written).toEqual({
        stdout: "",
        stderr:
          "detached: what is not gone yet goes on stopping; to cut the requests they serve: aim-engine stop --force NAME\n",
      });
    });

    it.each([
      ["30", 30_000],
      ["2m", 120_000],
    ])("waits no longer than -t %s, and exits 124", async (text, ms) => {
      const clock = new FakeClock();
      const { io, written } = fakeIo({ url: server.url, clock });
      const exit = run(["stop", "--force", "demo-1", "-t", text], io);
      await until(() => view.stops.length === 1);
      await clock.advance(ms - 1);
      expect(written.stderr).toBe("");
      await clock.advance(1);
      expect(await exit).toBe(124);
      expect(written.stderr).toMatch(/^not stopped after \S+( s)?: what is not gone yet goes on stopping\n$/);
      expect(clock.pending).toBe(0);
    });
  });
});
