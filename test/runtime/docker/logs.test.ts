// The output of real containers, kept across restarts of the gateway and beyond the containers themselves.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, expect, it, onTestFinished } from "vitest";
import type { DockerDriver } from "../../../src/runtime/docker/driver.ts";
import type { BackendRef, LogLine, LogOptions } from "../../../src/runtime/driver.ts";
import { startChaosSocket } from "../../support/chaos-socket.ts";
import { describeWithDocker, makeDockerRig, SOCKET, type DockerRig } from "../../support/docker.ts";
import { until } from "../../support/until.ts";

const never = new AbortController().signal;
const ALL: LogOptions = { follow: false, tail: Infinity };

describeWithDocker("the output of containers", () => {
  let rig: DockerRig;
  let logDir: string;
  const drivers: DockerDriver[] = [];

  beforeAll(async () => {
    rig = await makeDockerRig();
  });
  beforeEach(async () => {
    logDir = await mkdtemp(join(tmpdir(), "aim-logs-"));
  });
  afterEach(async () => {
    await Promise.all(drivers.splice(0).map((driver) => driver.close()));
    await rig.removeAll();
    await rm(logDir, { recursive: true, force: true });
  });

  function makeDriver(): DockerDriver {
    const driver = rig.makeDriver({ logDir });
    drivers.push(driver);
    return driver;
  }

  async function read(driver: DockerDriver, ref: BackendRef, options = ALL): Promise<LogLine[]> {
    const lines: LogLine[] = [];
    for await (const line of driver.logs(ref, options, never)) lines.push(line);
    return lines;
  }

  const flood = () => rig.spec({ env: { AIM_SIM_LOG_FLOOD: "500" } });
  const untilMoreThan = (driver: DockerDriver, ref: BackendRef, count: number) =>
    until(async () => (await read(driver, ref)).length > count, { what: `more than ${count} lines` });

  it("is kept to the line through a restart of the gateway, with the times that Docker gave", async () => {
    const before = makeDriver();
    const ref = await before.start(flood(), () => {}, never);
    await untilMoreThan(before, ref, 100);
    await before.close();
    const after = makeDriver();
    await untilMoreThan(after, ref, 300);
    await after.list(never);
    await untilMoreThan(after, ref, 500);
    await rig.docker.getContainer(ref.id).kill();
    const whole = await read(after, ref);
    await after.stop(ref, { graceMs: 0, reason: "the test wants it gone" }, never);
    expect(await read(after, ref)).toEqual(whole);
    expect(whole.every(({ time }) => time !== undefined)).toBe(true);
  });

  it("of a container that ended while no gateway ran is kept before it is removed", async () => {
    const before = makeDriver();
    const ref = await before.start(flood(), () => {}, never);
    await before.close();
    await until(async () => (await read(makeDriver(), ref)).length > 50);
    await rig.docker.getContainer(ref.id).kill();
    const after = makeDriver();
    const whole = await read(after, ref);
    await after.stop(ref, { graceMs: 0, reason: "it has ended" }, never);
    expect(await read(after, ref)).toEqual(whole);
  });

  it("can be asked for from a time on, while it is there and when it is gone", async () => {
    const driver = makeDriver();
    const ref = await driver.start(flood(), () => {}, never);
    await untilMoreThan(driver, ref, 50);
    await rig.docker.getContainer(ref.id).kill();
    const whole = await read(driver, ref);
    const since = whole[20]!.time!;
    const expected = whole.slice(whole.findLastIndex(({ time }) => time === since) + 1);
    expect(await read(driver, ref, { ...ALL, since })).toEqual(expected);
    await driver.stop(ref, { graceMs: 0, reason: "it has ended" }, never);
    expect(await read(driver, ref, { ...ALL, since })).toEqual(expected);
    await expect(read(driver, ref, { ...ALL, since: "noon" })).rejects.toThrow('"noon" is no time');
  });

  // dockerode cut the last character off the question: 100 lines became 10, and following a look.
  it("is asked of Docker as it was asked for", async () => {
    const chaos = await startChaosSocket(SOCKET);
    onTestFinished(() => chaos.close());
    const driver = rig.makeDriver({ socketPath: chaos.socketPath });
    onTestFinished(() => driver.close());
    const code = "for (let i = 1; i <= 30; i++) console.log(`line ${i}`); setInterval(() => {}, 1000)";
    const spec = { ...rig.spec(), argv: ["/usr/local/bin/node", "-e", code] };
    const ref = await driver.start(spec, () => {}, never);
    await until(async () => (await read(driver, ref)).length === 30, { what: "30 lines" });
    const lines = await read(driver, ref, { ...ALL, tail: 20 });
    expect(lines.map(({ text }) => text)).toEqual(Array.from({ length: 20 }, (_, index) => `line ${index + 11}`));
    const since = lines[0]!.time!;
    const ending = new AbortController();
    for await (const { text } of driver.logs(ref, { follow: true, tail: Infinity, since }, ending.signal))
      if (text === "line 30") ending.abort();
    const asked = chaos.requests.filter((line) => line.includes("/logs?")).slice(-2);
    expect(asked[0]).toMatch(/follow=0&tail=20(?!\d)/);
    expect(asked[1]).toMatch(new RegExp(`follow=1&since=${Math.floor(Date.parse(since) / 1000)}(?!\\d)`));
  });

  it("is forgotten when that is asked for", async () => {
    const driver = makeDriver();
    const spec = rig.spec();
    const ref = await driver.start(spec, () => {}, never);
    await untilMoreThan(driver, ref, 0);
    await driver.stop(ref, { graceMs: 0, reason: "the test wants it gone" }, never);
    expect((await read(driver, ref)).length).toBeGreaterThan(0);
    expect(await driver.forget(spec.replica, never)).toBe(true);
    expect(await read(driver, ref)).toEqual([]);
    expect(await driver.forget(spec.replica, never)).toBe(false);
  });
});
