import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startAdminServer, type AdminServer } from "../admin/admin-server.ts";
import { makeGpu, ScriptedView } from "../admin/scripted-view.ts";
import { runCli } from "./fake-io.ts";

const GIB = 2 ** 30;
let view: ScriptedView;
let server: AdminServer;

beforeEach(async () => {
  view = new ScriptedView();
  server = await startAdminServer(view);
});

afterEach(() => server.close());

const cli = (line: string) => runCli(line.split(" "), { url: server.url });

describe("gpus", () => {
  it("shows what they are, who holds them, and why one is neither free nor held", async () => {
    view.gpuList = [
      makeGpu({ arch: "gfx942", numaNode: 0, usedBytes: 150 * GIB, status: "held", replica: "demo-1", model: "demo" }),
      makeGpu({ id: "0000:02:00.0/renderD129", number: 1, partition: "CPX/NPS4", memoryBytes: 24 * GIB }),
      makeGpu({ id: "0000:03:00.0", number: 2, status: "quarantined", reason: "80 GiB did not come back" }),
      makeGpu({ id: "0000:04:00.0", number: 3, status: "foreign", reason: "process 4711 uses 3 GiB" }),
    ];
    expect(await cli("gpus")).toEqual({
      code: 0,
      stdout: [
        "#   ID                        GPU               ARCH     NUMA   MEMORY              STATUS        HELD BY",
        "0   0000:01:00.0              MI300X            gfx942   0      150 GiB / 192 GiB   held          demo-1",
        "1   0000:02:00.0/renderD129   MI300X CPX/NPS4   -        -      24 GiB              free          -",
        "2   0000:03:00.0              MI300X            -        -      192 GiB             quarantined   -",
        "3   0000:04:00.0              MI300X            -        -      192 GiB             foreign       -",
        "",
      ].join("\n"),
      stderr: [
        "2  0000:03:00.0 is quarantined: 80 GiB did not come back; trust it again with: aim-engine gpus release 2",
        "3  0000:04:00.0 is foreign: process 4711 uses 3 GiB",
        "",
      ].join("\n"),
    });
  });

  it("names all who are on one, with their shares, and who of them sleeps", async () => {
    const holder = { model: "demo", state: "ready", share: 1 };
    view.gpuList = [
      makeGpu({
        status: "held",
        replica: "demo-1",
        holders: [
          { ...holder, replica: "demo-1", share: 0.4 },
          { ...holder, replica: "demo-2", state: "sleeping" },
        ],
      }),
      makeGpu({ number: 1, status: "held", replica: "demo-3", holders: [{ ...holder, replica: "demo-3" }] }),
    ];
    const lines = (await cli("gpus")).stdout.trimEnd().split("\n").slice(1);
    expect(lines.map((line) => line.split("held").at(-1)?.trim())).toEqual(["demo-1 (0.4), demo-2 (asleep)", "demo-3"]);
  });

  it("says so where there are none", async () => {
    expect(await cli("gpus")).toEqual({
      code: 0,
      stdout: "",
      stderr: "no GPU that this gateway may place replicas on\n",
    });
  });
});

describe("gpus release", () => {
  it("takes numbers and addresses, those of partitions too", async () => {
    view.gpuList = [makeGpu(), makeGpu({ id: "0000:02:00.0/renderD129", number: 1 })];
    expect(await cli("gpus release 0 0000:02:00.0/renderD129")).toEqual({
      code: 0,
      stdout: "0000:01:00.0\n0000:02:00.0/renderD129\n",
      stderr: "",
    });
    expect(view.releases).toEqual(["0", "0000:02:00.0/renderD129"]);
  });

  it("says when a GPU is still not free, and when there is none of that name", async () => {
    view.gpuList = [makeGpu({ status: "foreign", reason: "process 4711 uses it" })];
    expect(await cli("gpus release 9 0")).toEqual({
      code: 2,
      stdout: "0000:01:00.0\n",
      stderr: "aim-engine: there is no GPU 9\n0  0000:01:00.0 is foreign: process 4711 uses it\n",
    });
  });
});
