import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startAdminServer, type AdminServer } from "../admin/admin-server.ts";
import { makeStats, ScriptedView } from "../admin/scripted-view.ts";
import { screenOf } from "./fake-screen.ts";
import { startCli } from "./timed-cli.ts";

const GIB = 2 ** 30;
const [START, LATER] = ["2026-01-01T00:00:00.000Z", "2026-01-01T00:00:02.000Z"];
let view: ScriptedView;
let server: AdminServer;
let looks = 0;

beforeEach(async () => {
  view = new ScriptedView();
  server = await startAdminServer(view);
  looks = 0;
  // 3 s of processor time within 2 s.
  view.stats = async () => {
    const isFirst = looks++ % 2 === 0;
    const gpu = { gpuMemoryBytes: 150 * GIB, gpuMemoryTotalBytes: 192 * GIB };
    const one = makeStats({ ...gpu, cpuSeconds: isFirst ? 12 : 15, time: isFirst ? START : LATER, inFlight: 3 });
    return isFirst ? [one] : [{ ...one, memoryLimitBytes: 64 * GIB }, makeStats({ replica: "demo-2", time: LATER })];
  };
});

afterEach(() => server.close());

const stats = (options: { readonly tty?: boolean }, ...argv: string[]) =>
  startCli(["stats", ...argv], { url: server.url, ...options });

const TABLE = [
  "NAME     MODEL   CPU %   MEM / LIMIT      GPU MEM             IN-FLIGHT",
  "demo-1   demo    150.0   1 GiB / 64 GiB   150 GiB / 192 GiB   3",
  "demo-2   demo    -       1 GiB            -                   0",
];

describe("stats", () => {
  it("takes the processor's share from two looks a second apart", async () => {
    expect(await stats({}).end()).toMatchObject({ code: 0, stdout: `${TABLE.join("\n")}\n`, stderr: "", timers: 0 });
    expect(looks).toBe(2);
  });

  it("says where the runtime could not tell, and shows the others", async () => {
    view.stats = async () => [
      makeStats({ problem: "Docker did not answer within 10 s" }),
      makeStats({ replica: "demo-2", gpuMemoryTotalBytes: 192 * GIB }),
    ];
    const { code, stdout, stderr } = await stats({}).end();
    expect({ code, stderr }).toEqual({ code: 0, stderr: "demo-1: Docker did not answer within 10 s\n" });
    expect(stdout.split("\n").slice(1, 3)).toEqual([
      "demo-1   demo    -       -             -             0",
      "demo-2   demo    -       1 GiB         ? / 192 GiB   0",
    ]);
  });

  it("shows no share of a replica that began anew", async () => {
    view.stats = async () => [makeStats({ cpuSeconds: looks++ === 0 ? 12 : 1, time: looks === 1 ? START : LATER })];
    expect((await stats({}).end()).stdout).toMatch(/demo-1 +demo +- /);
  });

  it("prints what the admin API answers with --json", async () => {
    const { stdout } = await stats({}, "--json").end();
    looks = 0;
    expect(JSON.parse(stdout)).toEqual({ stats: await view.stats() });
  });
});

describe("stats --watch", () => {
  it("draws the table anew on a terminal until Ctrl-C", async () => {
    const watch = stats({ tty: true }, "--watch");
    await watch.wrote("150.0");
    expect(screenOf(watch.written.stdout)).toEqual(TABLE);
    const before = looks;
    await watch.pass();
    await watch.pass();
    await watch.wrote("192 GiB");
    expect(looks).toBeGreaterThan(before);
    watch.pressCtrlC();
    const { code, stdout, stderr, timers } = await watch.end();
    expect({ code, stderr, timers }).toEqual({ code: 130, stderr: "", timers: 0 });
    expect(screenOf(stdout).length).toBeLessThanOrEqual(TABLE.length);
  });

  it("is one table after the other elsewhere, and one object a line with --json", async () => {
    const tables = stats({}, "--watch");
    await tables.wrote("150.0");
    tables.pressCtrlC();
    expect(await tables.end()).toMatchObject({ code: 130, timers: 0 });
    expect(tables.written.stdout).not.toContain("\u001b");

    const objects = stats({}, "--watch", "--json");
    await objects.wrote('\n{"stats"');
    objects.pressCtrlC();
    expect(await objects.end()).toMatchObject({ code: 130, timers: 0 });
    for (const line of objects.written.stdout.trimEnd().split("\n")) expect(JSON.parse(line)).toHaveProperty("stats");
  });
});
