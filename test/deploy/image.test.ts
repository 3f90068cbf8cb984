// The gateway's image as an operator runs it: not as root, nothing writable but what it names, Docker by its socket's group.
import { join } from "node:path";
import type Docker from "dockerode";
import { afterAll, beforeAll, expect, it } from "vitest";
import { describeWithDocker, SOCKET } from "../support/docker.ts";
import { KEY, makePackage, type Package } from "../support/packaged-gateway.ts";
import { until } from "../support/until.ts";

describeWithDocker("the image of the gateway", () => {
  let made: Package;
  let container: Docker.Container;
  let url: string;

  beforeAll(async () => {
    made = await makePackage();
    const { docker, folder, gpuFolder, image, installation, socketGroup } = made;
    container = await docker.createContainer({
      name: `${installation}-gateway`,
      Image: image,
      Env: [`AIM_ENGINE_KEY=${KEY}`, `AIM_ENGINE_API_KEY=${KEY}`],
      HostConfig: {
        Init: true,
        ReadonlyRootfs: true,
        CapDrop: ["ALL"],
        SecurityOpt: ["no-new-privileges"],
        GroupAdd: [String(socketGroup)],
        Tmpfs: { "/tmp": "" },
        Binds: [
          `${SOCKET}:${SOCKET}`,
          `${join(folder, "config.yaml")}:/opt/aim-engine/config/config.yaml:ro`,
          `${gpuFolder}:${gpuFolder}:ro`,
        ],
      },
    });
    await container.start();
    const address = (await container.inspect()).NetworkSettings.Networks["bridge"]?.IPAddress;
    url = `http://${address}:8000`;
    await until(
      () =>
        fetch(`${url}/health/live`).then(
          (answer) => answer.ok,
          () => false,
        ),
      {
        timeoutMs: 20_000,
        what: "the gateway in its container",
      },
    );
  }, 240_000);
  afterAll(() => made.remove(), 60_000);

  /** What a program in the container says, and how it ends. */
  async function exec(...Cmd: readonly string[]): Promise<{ readonly code: number | null; readonly said: string }> {
    const call = await container.exec({ Cmd: [...Cmd], AttachStdout: true, AttachStderr: true, Tty: true });
    const stream = await call.start({ Tty: true });
    let said = "";
    for await (const chunk of stream) said += String(chunk);
    return { code: (await call.inspect()).ExitCode, said };
  }

  async function chat(model: string, key = KEY): Promise<number> {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
      body: JSON.stringify({ model, max_tokens: 3, messages: [{ role: "user", content: "Hello" }] }),
    });
    await response.arrayBuffer();
    return response.status;
  }

  it("holds neither a shell, nor npm, nor root", async () => {
    const script = `
      const { existsSync, accessSync, constants } = require("node:fs");
      const there = ["/bin/sh", "/usr/local/bin/npm", "/opt/aim-engine/.npmrc", "/opt/aim-engine/node_modules/vitest"];
      const writable = ["/", "/opt/aim-engine", "/opt/aim-engine/src", "/opt/aim-engine/state", "/opt/aim-engine/logs", "/tmp"];
      const canWrite = (path) => { try { accessSync(path, constants.W_OK); return true; } catch { return false; } };
      console.log(JSON.stringify([process.getuid(), there.filter(existsSync), writable.filter(canWrite)]));`;
    const { said } = await exec("/usr/local/bin/node", "-e", script);
    expect(JSON.parse(said)).toEqual([1000, [], ["/opt/aim-engine/state", "/opt/aim-engine/logs", "/tmp"]]);
  });

  it("is healthy by its own check", async () => {
    const { Config } = await made.docker.getImage(made.image).inspect();
    // Missing in the types of dockerode.
    const { Test: test } = (Config as unknown as { Healthcheck: { Test: readonly string[] } }).Healthcheck;
    expect(test[0]).toBe("CMD");
    expect((await exec(...test.slice(1))).code).toBe(0);
  });

  it("serves the simulated engine to whoever has a key", { timeout: 30_000 }, async () => {
    expect(await chat("demo", "another-key")).toBe(401);
    expect(await chat("demo")).toBe(200);
  });

  it("starts a container beside itself, with exactly four GPUs, and reaches it", { timeout: 60_000 }, async () => {
    const launched = await exec("aim-engine", "launch", "Qwen/Qwen3-32B", "4", "--precision", "bf16");
    expect(launched).toMatchObject({ code: 0 });
    expect(await chat("Qwen/Qwen3-32B")).toBe(200);
    const [replica, ...others] = await made.replicas();
    expect(others).toEqual([]);
    const devices: readonly { PathInContainer: string }[] = replica?.HostConfig.Devices ?? [];
    expect(devices.map(({ PathInContainer: path }) => path).sort()).toEqual([
      "/dev/dri/renderD128",
      "/dev/dri/renderD129",
      "/dev/dri/renderD130",
      "/dev/dri/renderD131",
      "/dev/kfd",
    ]);
    expect(Object.keys(replica?.NetworkSettings.Networks ?? {})).toEqual([made.installation]);
    expect(replica?.NetworkSettings.Ports).toEqual({});
  });

  it("examines the machine from within, and finds no fault of its own", { timeout: 60_000 }, async () => {
    const { checks }: { checks: readonly { name: string; status: string; found: string }[] } = JSON.parse(
      (await exec("aim-engine", "doctor", "--json")).said,
    );
    expect(checks.filter(({ status }) => status === "problem")).toEqual([]);
    const found = new Map(checks.map((check) => [check.name, check.found]));
    expect(found.get("gpus")).toBe("8 MI300X");
    expect(found.get("state folder")).toMatch(/^\/opt\/aim-engine\/state: .* free$/);
    expect(found.get("docker network")).toMatch(/can be reached$/);
    expect(JSON.stringify(checks)).not.toContain(KEY);
  });

  it("without the socket's group, says which one it lacks", { timeout: 30_000 }, async () => {
    const { docker, image, installation, socketGroup } = made;
    const lacking = await docker.createContainer({
      name: `${installation}-lacking`,
      Image: image,
      Cmd: ["doctor", "--json"],
      Env: [`AIM_ENGINE_KEY=${KEY}`],
      HostConfig: { ReadonlyRootfs: true, Binds: [`${SOCKET}:${SOCKET}`] },
    });
    await lacking.start();
    expect(await lacking.wait()).toMatchObject({ StatusCode: 1 });
    const logs = (await lacking.logs({ stdout: true, follow: false })).toString();
    expect(logs).toContain(`no permission to open ${SOCKET}`);
    expect(logs).toContain(`--group-add ${socketGroup}`);
  });

  it("ends cleanly, and leaves its models running", { timeout: 60_000 }, async () => {
    await container.stop({ t: 40 });
    expect((await container.inspect()).State.ExitCode).toBe(0);
    expect((await made.replicas()).map(({ State }) => State.Running)).toEqual([true]);
  });
});
