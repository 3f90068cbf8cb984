import { once } from "node:events";
import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import type { Containers } from "../../../src/runtime/docker/containers.ts";
import { HostPorts, parsePortRange } from "../../../src/runtime/docker/host-ports.ts";
import { FakeClock } from "../../support/clock.ts";
import { DOCKER_LABELS } from "../../../src/runtime/docker/labels.ts";

const never = new AbortController().signal;

describe("parsePortRange", () => {
  it("reads a range, of one port as well", () => {
    expect(parsePortRange("18000-18999")).toEqual({ first: 18_000, last: 18_999 });
    expect(parsePortRange("18000-18000")).toEqual({ first: 18_000, last: 18_000 });
  });

  it.each(["", "18000", "18999-18000", "0-10", "60000-65536", "18000-", "a-b"])("refuses %j", (text) => {
    expect(() => parsePortRange(text)).toThrow("docker.hostPorts");
  });
});

describe("HostPorts", () => {
  /** What containers bear as labels. */
  function portsBeside(taken: readonly number[], range = { first: 28_000, last: 28_002 }): HostPorts {
    const list: Containers["list"] = async (_task, { label }) =>
      taken
        .filter((port) => label.includes(`${DOCKER_LABELS.port}=${port}`))
        .map((port) => ({ id: `${port}`, name: `${port}`, labels: {}, state: "running", createdAt: 0 }));
    return new HostPorts(range, { list }, new FakeClock());
  }
  const same = (port: number) => Promise.resolve(port);

  it("goes round, past those that containers have", async () => {
    const ports = portsBeside([28_001]);
    const given = [];
    for (let turn = 0; turn < 3; turn++) given.push(await ports.withPort(never, same));
    expect(given).toEqual([28_000, 28_002, 28_000]);
  });

  it("gives that of a container again which was made long ago and never started", async () => {
    const clock = new FakeClock();
    const left = { id: "x", name: "x", labels: {}, state: "created" };
    const made = (agoMs: number) => [{ ...left, createdAt: clock.wallNow() - agoMs }];
    const range = { first: 28_004, last: 28_004 };
    const beside = (agoMs: number) => new HostPorts(range, { list: async () => made(agoMs) }, clock);
    await expect(beside(299_000).withPort(never, same)).rejects.toThrow("is in use");
    expect(await beside(301_000).withPort(never, same)).toBe(28_004);
  });

  it("gives none twice during a start, by whichever gateway, and gives it again once that has failed", async () => {
    const ports = portsBeside([28_001]);
    const { promise: held, reject } = Promise.withResolvers<never>();
    const { promise: chosen, resolve: choose } = Promise.withResolvers<number>();
    const first = ports.withPort(never, (port) => {
      choose(port);
      return held;
    });
    expect(await chosen).toBe(28_000);
    expect(await portsBeside([28_001]).withPort(never, same)).toBe(28_002);
    expect(await ports.withPort(never, same)).toBe(28_002);
    expect(await ports.withPort(never, same)).toBe(28_002);
    reject(new Error("it did not start"));
    await expect(first).rejects.toThrow("it did not start");
    expect(await ports.withPort(never, same)).toBe(28_000);
  });

  it.each(["127.0.0.1", "0.0.0.0"])("gives none that somebody listens on at %s", async (host) => {
    const server = createServer().listen(0, host);
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("the server has no port");
    const ports = portsBeside([], { first: address.port, last: address.port });
    await expect(ports.withPort(never, same)).rejects.toThrow(/is in use.*widen/);
    server.close();
    await once(server, "close");
    expect(await ports.withPort(never, same)).toBe(address.port);
  });

  it("says so when there is none left", async () => {
    const ports = portsBeside([28_000, 28_001, 28_002]);
    await expect(ports.withPort(never, () => Promise.resolve())).rejects.toThrow(/28000-28002.*widen/);
  });
});
