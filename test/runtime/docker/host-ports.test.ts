import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { HostPorts, parsePortRange } from "../../../src/runtime/docker/host-ports.ts";
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
  function portsBeside(taken: readonly (number | string)[], range = { first: 28_000, last: 28_002 }): HostPorts {
    const list = () =>
      Promise.resolve(
        taken.map((port) => ({
          id: `${port}`,
          name: `${port}`,
          labels: { [DOCKER_LABELS.port]: `${port}` },
          state: "running",
          createdAt: 0,
        })),
      );
    return new HostPorts(range, { list }, "mine");
  }
  const same = (port: number) => Promise.resolve(port);

  it("goes round, past those that containers have", async () => {
    const ports = portsBeside([28_001, "not a port"]);
    const given = [];
    for (let turn = 0; turn < 4; turn++) given.push(await ports.withPort(never, same));
    expect(given.toSorted()).toEqual([28_000, 28_000, 28_002, 28_002]);
    expect(given.slice(2)).toEqual(given.slice(0, 2));
  });

  it("gives none twice while it is not yet on a container, and gives it again once the start has failed", async () => {
    const ports = portsBeside([28_001]);
    const { promise: held, reject } = Promise.withResolvers<never>();
    const { promise: chosen, resolve: choose } = Promise.withResolvers<number>();
    const first = ports.withPort(never, (port) => {
      choose(port);
      return held;
    });
    const other = (await chosen) === 28_000 ? 28_002 : 28_000;
    expect(await Promise.all([ports.withPort(never, same)])).toEqual([other]);
    expect(await ports.withPort(never, same)).toBe(other);
    reject(new Error("it did not start"));
    await expect(first).rejects.toThrow("it did not start");
    expect(await ports.withPort(never, same)).toBe(await chosen);
  });

  it.each(["127.0.0.1", "0.0.0.0"])(
    "gives none that somebody else listens on at %s, and says so when there is none left",
    async (host) => {
      const server = createServer().listen(0, host);
      await once(server, "listening");
      const { port } = server.address() as AddressInfo;
      const ports = portsBeside([], { first: port, last: port });
      await expect(ports.withPort(never, same)).rejects.toThrow(/is in use.*widen/);
      server.close();
      await once(server, "close");
      expect(await ports.withPort(never, same)).toBe(port);
    },
  );

  it("says so when containers have them all", async () => {
    const ports = portsBeside([28_000, 28_001, 28_002]);
    await expect(ports.withPort(never, () => Promise.resolve())).rejects.toThrow(/28000-28002.*widen/);
  });

  it("begins elsewhere for another gateway, which may choose at the same moment", async () => {
    const range = { first: 28_000, last: 28_999 };
    const list = () => Promise.resolve([]);
    const given = ["mine", "yours"].map((name) => new HostPorts(range, { list }, name).withPort(never, same));
    expect(new Set(await Promise.all(given)).size).toBe(2);
  });
});
