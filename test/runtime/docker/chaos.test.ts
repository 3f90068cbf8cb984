// The docker driver behind a socket that delays, drops, cuts and garbles.
import { chmod, link, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { AimError } from "../../../src/errors.ts";
import { LIMITS } from "../../../src/runtime/docker/client.ts";
import { DockerDriver } from "../../../src/runtime/docker/driver.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { startChaosSocket, type ChaosSocket } from "../../support/chaos-socket.ts";
import { FakeClock } from "../../support/clock.ts";
import { failureOf } from "../../support/failure-of.ts";
import { describeWithDocker, makeDockerRig, SOCKET, type DockerRig } from "../../support/docker.ts";
import { until } from "../../support/until.ts";

const never = new AbortController().signal;
const CREATE = /^POST \S*\/containers\/create/;
const START = /^POST \S*\/containers\/\w+\/start/;

describeWithDocker("the docker driver on a bad connection", () => {
  let rig: DockerRig;
  let chaos: ChaosSocket;
  let driver: DockerDriver;

  beforeAll(async () => {
    rig = await makeDockerRig();
  });
  beforeEach(async () => {
    chaos = await startChaosSocket(SOCKET);
    driver = rig.makeDriver({ socketPath: chaos.socketPath });
  });
  afterEach(async () => {
    await driver.close();
    await chaos.close();
    await rig.removeAll();
  });

  const start = () => driver.start(rig.spec(), () => {}, never);
  const containers = () => rig.docker.listContainers({ all: true, filters: { name: [rig.installation] } });

  it.each([
    ["create", CREATE],
    ["start", START],
  ])("settles a lost answer to %s by looking, and runs one container", async (_, line) => {
    chaos.inject(line, { kind: "drop answer" });
    const ref = await start();
    const [running, ...others] = await driver.list(never);
    expect(running).toMatchObject({ ref, state: "running" });
    expect(others).toEqual([]);
  });

  it("creates again when the request never arrived", async () => {
    chaos.inject(CREATE, { kind: "drop request" });
    const ref = await start();
    expect((await driver.list(never)).map((one) => one.ref)).toEqual([ref]);
  });

  it("gives up after five tries, and leaves nothing", async () => {
    chaos.inject(CREATE, { kind: "drop answer" }, 9);
    const error = await failureOf(start());
    expect(error.code).toBe("runtime_unavailable");
    expect(chaos.requests.filter((line) => CREATE.test(line))).toHaveLength(5);
    expect(await containers()).toEqual([]);
  });

  it("leaves nothing when the start is refused", async () => {
    chaos.inject(START, { kind: "answer", status: 500, body: '{"message":"no space left on device"}' });
    const error = await failureOf(start());
    expect(error.code).toBe("runtime_failed");
    expect(error.data["failure"]).toBe("disk_full");
    expect(await containers()).toEqual([]);
  });

  it("says so when it must leave a container behind", async () => {
    chaos.inject(START, { kind: "answer", status: 500, body: '{"message":"boom"}' });
    chaos.inject(/^DELETE/, { kind: "answer", status: 500, body: '{"message":"stuck"}' });
    const error = await failureOf(start());
    expect(error.message).toMatch(/boom.*left behind.*stuck.*docker rm -f/);
  });

  it("takes 'already started' for success", async () => {
    chaos.inject(START, { kind: "answer", status: 304, body: "" });
    await expect(start()).resolves.toMatchObject({ name: expect.stringContaining(rig.installation) });
  });

  it("keeps secrets out of the URL of a creation", async () => {
    await driver.start(rig.spec({ env: { HF_TOKEN: "hf_secret" } }), () => {}, never);
    expect(chaos.requests.some((line) => CREATE.test(line))).toBe(true);
    expect(chaos.requests.join("\n")).not.toContain("hf_secret");
  });

  it("rejects a list that was cut in the middle, and lists again", async () => {
    const clock = new FakeClock();
    const impatient = rig.makeDriver({ socketPath: chaos.socketPath, clock });
    onTestFinished(() => impatient.close());
    await impatient.ping(never);
    chaos.inject(/containers\/json/, { kind: "cut answer", afterBytes: 20 });
    const listed = failureOf(impatient.list(never));
    await until(() => chaos.requests.some((line) => line.includes("containers/json")));
    await clock.advance(LIMITS.look);
    expect((await listed).code).toBe("runtime_unavailable");
    expect(await impatient.list(never)).toEqual([]);
  });

  it.each(["<html>", "{}", "[{}]", ""])("rejects a list that says %j", async (body) => {
    chaos.inject(/containers\/json/, { kind: "answer", status: 200, body });
    expect((await failureOf(driver.list(never))).message).toContain("list containers");
  });

  it("waits for a hung Docker no longer than its deadline, or until the caller leaves", async () => {
    const clock = new FakeClock();
    const patient = rig.makeDriver({ socketPath: chaos.socketPath, clock });
    onTestFinished(() => patient.close());
    chaos.inject(/./, { kind: "hang" }, 2);
    const pinged = failureOf(patient.ping(never));
    await until(() => chaos.requests.length === 1);
    await clock.advance(LIMITS.look);
    expect(await pinged).toMatchObject({ code: "runtime_unavailable" });
    const leaving = new AbortController();
    const left = patient.ping(leaving.signal);
    await until(() => chaos.requests.length === 2);
    leaving.abort(new Error("changed my mind"));
    await expect(left).rejects.toThrow("changed my mind");
    expect(clock.pending).toBe(0);
  });

  it("hints again after the event stream was lost", async () => {
    let hints = 0;
    const watching = new AbortController();
    onTestFinished(() => watching.abort());
    driver.watch(() => (hints += 1), watching.signal);
    await until(() => hints === 1, { what: "the hint of the first connection" });
    chaos.cutAll();
    await until(() => hints === 2, { what: "the hint of the second connection" });
    await start();
    await until(() => hints > 2, { what: "the hint of the start" });
  });

  it("survives a garbled event", async () => {
    let hints = 0;
    const watching = new AbortController();
    onTestFinished(() => watching.abort());
    chaos.inject(/\/events/, { kind: "answer", status: 200, body: '{"Type":"container"}\n{"Ty' });
    driver.watch(() => (hints += 1), watching.signal);
    await until(() => chaos.requests.filter((line) => line.includes("/events")).length === 2);
    await start();
    await until(() => hints >= 4, { what: "hints of the second stream" });
  });

  it("ends the follower of a log with an error when the connection is lost", async () => {
    const ref = await driver.start(rig.spec({ env: { AIM_SIM_LOAD_SECONDS: "600" } }), () => {}, never);
    const followed = (async () => {
      for await (const _line of driver.logs(ref, { follow: true, tail: 1 }, never)) chaos.cutAll();
    })();
    expect((await failureOf(followed)).code).toBe("runtime_unavailable");
  });

  it("asks for the version once, and speaks it from then on", async () => {
    await driver.list(never);
    await driver.list(never);
    const [first, ...others] = chaos.requests;
    expect(first).toMatch(/^GET \/version/);
    expect(others.length).toBeGreaterThan(1);
    expect(others.filter((line) => !/^GET \/v1\.\d+\//.test(line))).toEqual([]);
  });

  it("refuses a Docker that is too old", async () => {
    chaos.inject(/\/version/, { kind: "answer", status: 200, body: '{"ApiVersion":"1.40","MinAPIVersion":"1.12"}' });
    const error = await failureOf(driver.ping(never));
    expect(error).toMatchObject({ code: "runtime_unavailable" });
    expect(error.message).toContain("20.10");
  });
});

describe("a Docker that cannot be reached", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "aim-docker-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  async function ping(socketPath: string): Promise<AimError> {
    const driver = new DockerDriver({
      installation: "test",
      socketPath,
      publish: false,
      devices: { sysRoot: "/sys", devRoot: "/dev" },
      clock: new FakeClock(),
      logger: silentLogger,
    });
    const error = await failureOf(driver.ping(never));
    await driver.close();
    return error;
  }

  it("says that there is no socket", async () => {
    const path = join(folder, "docker.sock");
    const error = await ping(path);
    expect(error.code).toBe("runtime_unavailable");
    expect(error.message).toContain(`no socket at ${path}`);
  });

  it("says that nobody listens", async () => {
    const path = join(folder, "docker.sock");
    await abandonSocket(path);
    expect((await ping(path)).message).toMatch(/nobody listens.*start docker/);
  });

  it("says that the path is no socket", async () => {
    const path = join(folder, "docker.sock");
    await writeFile(path, "");
    expect((await ping(path)).code).toBe("runtime_unavailable");
  });

  it.skipIf(process.getuid?.() !== 0)("names the group to add when permission is missing", async () => {
    const path = join(folder, "docker.sock");
    await chmod(folder, 0o755);
    const server = await listen(path);
    await chmod(path, 0o600);
    process.seteuid?.(65_534);
    try {
      expect((await ping(path)).message).toContain("belongs to group 0: add that group");
    } finally {
      process.seteuid?.(0);
      server.close();
    }
  });

  it("says that what answers is not Docker", async () => {
    const path = join(folder, "docker.sock");
    const server = createServer((socket) => socket.resume().end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"));
    await new Promise<void>((resolve) => server.listen(path, resolve));
    expect((await ping(path)).message).toContain("does not speak Docker's API");
    server.close();
  });

  function listen(path: string): Promise<Server> {
    const server = createServer();
    return new Promise((resolve) => server.listen(path, () => resolve(server)));
  }

  /** A socket file without a listener, as a killed dockerd leaves it: the file is put back after the listener took it away. */
  async function abandonSocket(path: string): Promise<void> {
    const server = await listen(`${path}.live`);
    await link(`${path}.live`, `${path}.kept`);
    await new Promise<void>((resolve) => server.close(() => resolve()));
    await rename(`${path}.kept`, path);
  }
});
