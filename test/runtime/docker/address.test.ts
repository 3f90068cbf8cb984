import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../src/lib/clock.ts";
import { parseDockerAddress } from "../../../src/runtime/docker/address.ts";
import { DockerClient } from "../../../src/runtime/docker/client.ts";
import { explain } from "../../../src/runtime/docker/errors.ts";
import { describeWithDocker, makeDockerRig, SOCKET, type DockerRig } from "../../support/docker.ts";

const never = new AbortController().signal;

describe("the address of Docker", () => {
  it.each([
    ["/var/run/docker.sock", { socketPath: "/var/run/docker.sock", host: undefined }],
    ["unix:///run/user/1000/docker.sock", { socketPath: "/run/user/1000/docker.sock", host: undefined }],
    ["tcp://socket-proxy:2375", { host: "socket-proxy", port: 2375 }],
    ["tcp://127.0.0.1:2375/", { host: "127.0.0.1", port: 2375 }],
    ["tcp://[::1]:2375", { host: "::1", port: 2375 }],
  ])("%s", (text, address) => {
    expect(parseDockerAddress(text)).toEqual(address);
  });

  it.each(["docker.sock", "tcp://host", "tcp://host:0", "tcp://host:99999", "https://host:2376", "tcp://a/b:1", ""])(
    "refuses %j, and says what it could be",
    (text) => {
      expect(() => parseDockerAddress(text)).toThrow(
        /docker\.socket is .*expected the path of a socket .* tcp:\/\/HOST:PORT/,
      );
    },
  );

  it("says that nobody listens there", async () => {
    const client = new DockerClient({ socketPath: "tcp://127.0.0.1:1", clock: systemClock });
    await expect(client.ping(never)).rejects.toMatchObject({
      code: "runtime_unavailable",
      message: expect.stringContaining("nobody listens on tcp://127.0.0.1:1"),
    });
    client.close();
  });

  it("says that there is no way to it", async () => {
    const unknown = Object.assign(new Error("getaddrinfo ENOTFOUND socket-proxy"), { code: "ENOTFOUND" });
    expect((await explain(unknown, "ping", "tcp://socket-proxy:2375")).message).toBe(
      "cannot reach Docker: there is no way to tcp://socket-proxy:2375 (ENOTFOUND); correct docker.socket, or the network that leads there",
    );
  });
});

describeWithDocker("the docker driver over TCP", () => {
  let rig: DockerRig;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(SOCKET);
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one);
      one
        .on("error", () => other.destroy())
        .on("close", () => sockets.delete(one))
        .pipe(other);
    }
  });
  beforeEach(async () => {
    rig = await makeDockerRig();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  });
  afterEach(async () => {
    await rig.removeAll();
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  it("starts, lists and stops a replica", async () => {
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("the proxy has no port");
    const driver = rig.makeDriver({ socketPath: `tcp://127.0.0.1:${address.port}` });
    const ref = await driver.start(rig.spec(), () => {}, never);
    expect((await driver.list(never)).map((one) => one.ref)).toEqual([ref]);
    await driver.stop(ref, { graceMs: 1000, reason: "test" }, never);
    expect(await driver.list(never)).toEqual([]);
    await driver.close();
  });
});
