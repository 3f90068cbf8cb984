import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { z } from "zod";
import { startAdminServer, type AdminServer } from "../admin/admin-server.ts";
import { ScriptedView } from "../admin/scripted-view.ts";
import { runCli } from "./fake-io.ts";

describe("doctor", () => {
  let view: ScriptedView;
  let server: AdminServer;

  beforeEach(async () => {
    view = new ScriptedView();
    server = await startAdminServer(view);
  });

  afterEach(() => server.close());

  const doctor = (...argv: string[]) => runCli(["doctor", ...argv], { url: server.url });

  it("shows what the gateway found, each finding with its fix", async () => {
    view.checkList = [
      { name: "docker", status: "ok", found: "Engine 27.1, API 1.46", fix: "none needed" },
      { name: "NUMA balancing", status: "warning", found: "on", fix: "sysctl kernel.numa_balancing=0" },
    ];
    expect(await doctor()).toEqual({
      code: 0,
      stdout: `\
STATUS    CHECK            FOUND
ok        docker           Engine 27.1, API 1.46
warning   NUMA balancing   on
fix NUMA balancing: sysctl kernel.numa_balancing=0
`,
      stderr: "",
    });
  });

  it("prints each fix once, however many need it", async () => {
    const fix = "correct the file";
    view.checkList = [
      { name: "recipe", status: "problem", found: "a.yaml:1:1: empty", fix },
      { name: "recipe", status: "problem", found: "b.yaml:2:1: empty", fix },
      { name: "config", status: "warning", found: "empty", fix },
      { name: "docker", status: "problem", found: "gone", fix: "start it" },
    ];
    const { stdout } = await doctor();
    expect(stdout.match(/^fix .*$/gm)).toEqual(["fix recipe, config: correct the file", "fix docker: start it"]);
  });

  it("exits 1 when there is a problem, also with --json", async () => {
    view.checkList = [{ name: "/dev/kfd", status: "problem", found: "there is none", fix: "modprobe amdgpu" }];
    expect(await doctor()).toMatchObject({ code: 1, stderr: "" });
    const { code, stdout } = await doctor("--json");
    expect({ code, checks: JSON.parse(stdout) }).toEqual({ code: 1, checks: { checks: view.checkList } });
  });
});

describe("doctor without a gateway", () => {
  const url = "http://127.0.0.1:1";
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "aim-engine-doctor-"));
  });

  afterEach(() => rm(folder, { recursive: true }));

  it("says so, looks at this machine itself, and goes by the configuration it is given", async () => {
    const config = join(folder, "config.yaml");
    await mkdir(join(folder, "recipes"));
    await writeFile(config, "recipes: recipes\nstateDir: state\n");
    const { code, stdout, stderr } = await runCli(["doctor", "--json", "--config", config], { url });
    expect(stderr).toBe("no gateway answers: looking at this machine without one\n");
    const { checks } = z
      .object({ checks: z.array(z.object({ name: z.string(), status: z.string(), found: z.string() })) })
      .parse(JSON.parse(stdout));
    expect(checks[0]).toMatchObject({ name: "gateway", status: "warning" });
    expect(checks[0]?.found).toContain("cannot reach the gateway at http://127.0.0.1:1");
    expect(checks.map(({ name }) => name)).toEqual(expect.arrayContaining(["node", "state folder", "recipes"]));
    // A folder without a single recipe is a problem.
    expect(code).toBe(1);
  });

  it("exits 2 for a configuration that cannot be read, and says why once", async () => {
    const file = join(folder, "none.yaml");
    expect(await runCli(["doctor", "--config", file], { url })).toEqual({
      code: 2,
      stdout: "",
      stderr: `aim-engine: cannot read the configuration ${file} (ENOENT); name another with --config\n`,
    });
  });

  it("looks where the gateway of the configuration it is given would listen", async () => {
    const config = join(folder, "config.yaml");
    await writeFile(config, "listen: 0.0.0.0:1\napiKeys: [a-key-of-16-signs-or-more]\nstateDir: state\n");
    const { stdout } = await runCli(["doctor", "--config", config]);
    expect(stdout).toContain("cannot reach the gateway at http://127.0.0.1:1 (connection refused)");
    await writeFile(config, 'listen: "[::]:1"\napiKeys: [a-key-of-16-signs-or-more]\nstateDir: state\n');
    expect((await runCli(["doctor", "--config", config])).stdout).toContain("the gateway at http://[::1]:1 (");
  });

  it("asks the gateway that listens there, and says by what it goes", async () => {
    const view = new ScriptedView();
    view.checkList = [{ name: "docker", status: "ok", found: "Engine 27.1" }];
    const server = await startAdminServer(view);
    onTestFinished(() => server.close());
    const config = join(folder, "config.yaml");
    await writeFile(config, `listen: ${new URL(server.url).host}\nstateDir: state\n`);
    const { code, stdout, stderr } = await runCli(["doctor", "--config", config]);
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: `asked the gateway at ${server.url}/, which goes by the configuration that it was started with\n`,
    });
    expect(stdout).toContain("Engine 27.1");
  });
});
