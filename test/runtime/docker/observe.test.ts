import { describe, expect, it } from "vitest";
import { chooseVersion } from "../../../src/runtime/docker/client.ts";
import { DOCKER_LABELS } from "../../../src/runtime/docker/labels.ts";
import { readInspect } from "../../../src/runtime/docker/observe.ts";

const REACH = { network: "aim", publish: false };

function answer(state: object = {}, settings: object = {}) {
  return {
    Id: "0123",
    Name: "/here-qwen3-1",
    Created: "2026-11-23T09:59:58.5Z",
    Image: "sha256:abcd",
    State: { Status: "running", ExitCode: 0, OOMKilled: false, StartedAt: "2026-11-23T10:00:00.123456789Z", ...state },
    Config: { Labels: { a: "b" }, Env: ["PATH=/bin"] },
    HostConfig: { NetworkMode: "aim" },
    NetworkSettings: { Networks: { aim: { IPAddress: "172.20.0.2" } }, Ports: {}, ...settings },
  };
}

describe("readInspect", () => {
  it("reads a running container", () => {
    expect(readInspect(answer(), REACH)).toEqual({
      ref: { id: "0123", name: "here-qwen3-1" },
      labels: { a: "b" },
      state: "running",
      address: new URL("http://172.20.0.2:8000"),
      startedAt: Date.UTC(2026, 10, 23, 10, 0, 0, 123),
      createdAt: Date.UTC(2026, 10, 23, 9, 59, 58, 500),
      imageId: "sha256:abcd",
      tty: false,
      env: ["PATH=/bin"],
      networkMode: "aim",
    });
  });

  it.each([
    ["created", "created"],
    ["running", "running"],
    ["paused", "unresponsive"],
    ["restarting", "unresponsive"],
    ["removing", "exited"],
    ["exited", "exited"],
    ["dead", "exited"],
  ])("calls %s %s", (Status, state) => {
    expect(readInspect(answer({ Status }), REACH)?.state).toBe(state);
  });

  it.each([
    [0, {}],
    [1, {}],
    [137, { signal: "SIGKILL" }],
    [139, { signal: "SIGSEGV" }],
    [143, { signal: "SIGTERM" }],
    [255, {}],
  ])("reads the exit code %i", (ExitCode, signal) => {
    const exit = { code: ExitCode, ...signal, outOfMemory: true };
    expect(readInspect(answer({ Status: "exited", ExitCode, OOMKilled: true }), REACH)).toMatchObject({ exit });
  });

  it("knows no start of a container that never started", () => {
    const created = readInspect(answer({ Status: "created", StartedAt: "0001-01-01T00:00:00Z" }), REACH);
    expect(created).not.toHaveProperty("startedAt");
    expect(created).not.toHaveProperty("exit");
  });

  it.each([
    ["of the chosen network", { bridge: { IPAddress: "172.17.0.2" }, aim: { IPAddress: "172.20.0.2" } }, "172.20.0.2"],
    [
      "of another network, where it was started before ours was chosen",
      { bridge: { IPAddress: "172.17.0.2" } },
      "172.17.0.2",
    ],
    ["of none once it was disconnected", {}, undefined],
    ["of none while it has no address", { aim: { IPAddress: "" } }, undefined],
  ])("takes the address %s", (_, Networks, hostname) => {
    expect(readInspect(answer({}, { Networks }), REACH)?.address?.hostname).toBe(hostname);
  });

  it("has no address once it has ended", () => {
    expect(readInspect(answer({ Status: "exited" }), REACH)).not.toHaveProperty("address");
  });

  it("takes the published port where told to, and nothing else", () => {
    const reach = { ...REACH, publish: true };
    const Ports = { "8000/tcp": [{ HostIp: "127.0.0.1", HostPort: "49153" }] };
    expect(readInspect(answer({}, { Ports }), reach)?.address?.host).toBe("127.0.0.1:49153");
    expect(readInspect(answer({}, { Ports: { "8000/tcp": null } }), reach)).not.toHaveProperty("address");
  });

  it.each([
    ["18007", "127.0.0.1:18007"],
    [undefined, undefined],
    ["", undefined],
    ["99999", undefined],
    ["80@evil", undefined],
  ])("reads the port of one on the host's network from its label, %j", (port, host) => {
    const Labels = port === undefined ? {} : { [DOCKER_LABELS.port]: port };
    const onHost = { ...answer(), Config: { Labels }, HostConfig: { NetworkMode: "host" } };
    expect(readInspect(onHost, REACH)?.address?.host).toBe(host);
  });

  it("believes no label of a port elsewhere", () => {
    const labelled = { ...answer(), Config: { Labels: { [DOCKER_LABELS.port]: "22" } } };
    expect(readInspect(labelled, REACH)?.address?.host).toBe("172.20.0.2:8000");
  });

  it.each([undefined, {}, Buffer.from("<html>"), { ...answer(), State: null }])(
    "refuses what is no answer",
    (wrong) => {
      expect(readInspect(wrong, REACH)).toBeUndefined();
    },
  );
});

describe("chooseVersion", () => {
  it.each([
    ["1.12", "1.41", "1.41"],
    ["1.24", "1.43", "1.43"],
    ["1.24", "1.52", "1.50"],
    ["1.44", "1.57", "1.50"],
    ["1.51", "1.60", "1.51"],
    ["1.9", "2.0", "1.50"],
  ])("speaks with a Docker of %s to %s version %s", (lowest, highest, chosen) => {
    expect(chooseVersion(lowest, highest)).toBe(chosen);
  });

  it.each(["1.40", "1.9", "0.99"])("refuses a Docker of at most %s", (highest) => {
    expect(() => chooseVersion("0.1", highest)).toThrow("too old");
  });
});
