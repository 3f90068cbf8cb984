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
  function portsBeside(taken: readonly string[]): HostPorts {
    const list = () =>
      Promise.resolve(
        taken.map((port) => ({
          id: port,
          name: port,
          labels: { [DOCKER_LABELS.port]: port },
          state: "running",
          createdAt: 0,
        })),
      );
    return new HostPorts({ first: 18_000, last: 18_002 }, { list });
  }

  it("goes round, past those that containers have", async () => {
    const ports = portsBeside(["18001", "not a port"]);
    const given = [];
    for (let turn = 0; turn < 3; turn++) given.push(await ports.withPort(never, (port) => Promise.resolve(port)));
    expect(given).toEqual([18_000, 18_002, 18_000]);
  });

  it("gives none twice while it is not yet on a container, and gives it again once the start has failed", async () => {
    const ports = portsBeside(["18001"]);
    const { promise: held, reject } = Promise.withResolvers<never>();
    const first = ports.withPort(never, () => held);
    const others = [ports.withPort(never, (port) => Promise.resolve(port))];
    expect(await Promise.all(others)).toEqual([18_002]);
    expect(await ports.withPort(never, (port) => Promise.resolve(port))).toBe(18_002);
    reject(new Error("it did not start"));
    await expect(first).rejects.toThrow("it did not start");
    expect(await ports.withPort(never, (port) => Promise.resolve(port))).toBe(18_000);
  });

  it("says so when there is none left", async () => {
    const ports = portsBeside(["18000", "18001", "18002"]);
    await expect(ports.withPort(never, () => Promise.resolve())).rejects.toThrow(/18000-18002.*widen/);
  });
});
