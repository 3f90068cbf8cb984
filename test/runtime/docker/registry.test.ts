// Pulls from a real registry, and everything that goes wrong on the way.
import { execFileSync } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type Docker from "dockerode";
import { pack } from "tar-stream";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, onTestFinished } from "vitest";
import type { AimError } from "../../../src/errors.ts";
import type { DockerDriver, DockerDriverOptions } from "../../../src/runtime/docker/driver.ts";
import type { PullProgress } from "../../../src/runtime/driver.ts";
import { failureOf } from "../../support/failure-of.ts";
import { describeWithDocker, makeDockerRig, type DockerRig } from "../../support/docker.ts";
import { privateDockerdProblem, startPrivateDockerd } from "../../support/private-dockerd.ts";
import {
  registryProblem,
  startRegistry,
  startRegistryProxy,
  type Registry,
  type RegistryProxy,
} from "../../support/registry.ts";

const never = new AbortController().signal;
const LAYER_BYTES = 8 * 2 ** 20;
const SHORT_SILENCE_MS = 1500;
const NAME = `aim-engine-pulled-${randomUUID().slice(0, 8)}`;

const problem = await registryProblem();
if (problem !== undefined && process.env["CI"] !== undefined) throw new Error(problem);
if (problem !== undefined) process.stderr.write(`\nNOT RUN: pulls from a registry: ${problem}\n`);
const dockerdProblem = await privateDockerdProblem();
if (dockerdProblem !== undefined) process.stderr.write(`\nNOT RUN: a pull without space: ${dockerdProblem}\n`);

describeWithDocker("a pull from a registry", () => {
  let rig: DockerRig;
  let registry: Registry;
  let proxy: RegistryProxy;
  /** What was pushed: "sha256:…". */
  let id: string;
  const drivers: DockerDriver[] = [];

  beforeAll(async () => {
    if (problem !== undefined) return;
    rig = await makeDockerRig();
    registry = await startRegistry();
    id = await push(rig.docker, `${registry.host}/${NAME}`, "1");
    // With layers of their own: Docker goes on for a moment with what was given up, and whoever comes then joins in.
    for (const tag of ["cut", "stalled"]) await push(rig.docker, `${registry.host}/${NAME}`, tag);
  });
  afterAll(() => registry?.stop());
  beforeEach(async (context) => {
    if (problem !== undefined) return context.skip(problem);
    proxy = await startRegistryProxy(registry);
  });
  afterEach(async () => {
    await Promise.all(drivers.splice(0).map((driver) => driver.close()));
    await proxy?.close();
    await remove(rig.docker, image());
  });

  const image = (tag = "1") => `${proxy.host}/${NAME}:${tag}`;
  const blobs = () => proxy.requests.filter((line) => line.startsWith("GET") && line.includes("/blobs/"));

  function makeDriver(options: Partial<DockerDriverOptions> = {}): DockerDriver {
    const driver = rig.makeDriver({ pullSilenceMs: SHORT_SILENCE_MS, ...options });
    drivers.push(driver);
    return driver;
  }

  /** Of a pull, within seconds. */
  async function failedPull(name = image(), driver = makeDriver()): Promise<AimError> {
    const startedAt = performance.now();
    const error = await failureOf(driver.pull(name, () => {}, never));
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    expect(error).toMatchObject({ code: "runtime_failed" });
    expect(error.message).toContain(`cannot pull image ${name}: `);
    return error;
  }

  it("tells how far each layer is, and fetches it", async () => {
    const seen: PullProgress[] = [];
    await makeDriver().pull(image(), (progress) => seen.push(progress), never);
    expect((await rig.docker.getImage(image()).inspect()).Id).toBe(id);
    const last = seen.at(-1);
    expect(last?.totalBytes).toBeGreaterThan(LAYER_BYTES * 0.99);
    expect(last?.doneBytes).toBe(last?.totalBytes);
    expect(last?.layers).toEqual([expect.objectContaining({ status: "Pull complete" })]);
  });

  it("takes an image by its digest", async () => {
    const digest = await digestOf(registry, "1");
    await makeDriver().pull(`${proxy.host}/${NAME}@${digest}`, () => {}, never);
    const { Id } = await rig.docker.getImage(`${proxy.host}/${NAME}@${digest}`).inspect();
    onTestFinished(() => remove(rig.docker, `${proxy.host}/${NAME}@${digest}`));
    expect(Id).toBe(id);
  });

  it("is one, however many need the image at once", async () => {
    const driver = makeDriver();
    const watched = new Set<number>();
    const needs = Array.from({ length: 10 }, (_, index) => driver.pull(image(), () => watched.add(index), never));
    await Promise.all(needs);
    expect(watched.size).toBe(10);
    // The configuration and the one layer.
    expect(blobs()).toHaveLength(2);
  });

  it("that was cut half-way, and is cut again, is given up while Docker still counts down", async () => {
    proxy.fault = { kind: "cut", afterBytes: LAYER_BYTES / 2 };
    const error = await failedPull(image("cut"));
    expect(error.data["failure"]).toBe("pull_interrupted");
    expect(error.message).toMatch(/broke off.*Retrying in \d+ seconds?/);
  });

  it("that was cut once goes on, and ends well", async () => {
    proxy.fault = { kind: "cut", afterBytes: LAYER_BYTES / 2 };
    const seen: string[] = [];
    const observe = ({ layers }: PullProgress) => {
      seen.push(...layers.map(({ status }) => status));
      if (seen.some((status) => status.startsWith("Retrying in"))) proxy.fault = undefined;
    };
    await makeDriver({ pullSilenceMs: 20_000 }).pull(image(), observe, never);
    expect(seen.join()).toContain("Retrying in");
    expect((await rig.docker.getImage(image()).inspect()).Id).toBe(id);
  });

  it("that stalls is given up after a silence", async () => {
    proxy.fault = { kind: "stall", afterBytes: LAYER_BYTES / 2 };
    const error = await failedPull(image("stalled"));
    expect(error.data["failure"]).toBe("pull_stalled");
    expect(error.message).toContain("nothing was heard from the registry for 1.5 s");
  });

  it("of an unknown tag, and of an unknown repository, names the image", async () => {
    expect((await failedPull(image("no-such-tag"))).data["failure"]).toBe("image_not_found");
    expect((await failedPull(`${proxy.host}/no/such:1`)).data["failure"]).toBe("image_not_found");
  });

  it.each([
    [401, { "www-authenticate": 'Basic realm="test"' }],
    [403, {}],
  ])("that is refused with %i asks for a login", async (status, headers) => {
    proxy.fault = { kind: "refuse", status, headers };
    const error = await failedPull();
    expect(error.data["failure"]).toBe("pull_unauthorized");
    expect(error.message).toContain("docker login");
  });

  it("from where nobody listens says so", async () => {
    expect((await failedPull(`127.0.0.1:1/${NAME}:1`)).data["failure"]).toBe("registry_unreachable");
  });

  it("of an image for other machines says which kind is missing", async () => {
    await pushForeign(registry, "foreign");
    const error = await failedPull(image("foreign"));
    expect(error.data["failure"]).toBe("wrong_architecture");
    expect(error.message).toContain("no matching manifest for linux/");
  });

  it("always asks the registry where the policy is always, also for an image that is there", async () => {
    const driver = makeDriver();
    await driver.pull(image(), () => {}, never);
    const before = proxy.requests.length;
    await driver.pull(image(), () => {}, never);
    expect(proxy.requests.length).toBeGreaterThan(before);
    expect(blobs()).toHaveLength(2);
  });

  it.skipIf(dockerdProblem !== undefined)(
    "without space says so, and works when there is some",
    async () => {
      const dataRoot = await mkdtemp(join(tmpdir(), "aim-full-"));
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=14m", "aim-full", dataRoot]);
      onTestFinished(async () => {
        execFileSync("umount", [dataRoot]);
        await rm(dataRoot, { recursive: true });
      });
      const dockerd = await startPrivateDockerd({ dataRoot });
      onTestFinished(() => dockerd.stop());
      const driver = makeDriver({ socketPath: dockerd.socketPath, pullSilenceMs: 20_000 });
      const error = await failedPull(image(), driver);
      expect(error.data["failure"]).toBe("disk_full");
      execFileSync("mount", ["-o", "remount,size=100m", dataRoot]);
      await driver.pull(image(), () => {}, never);
      await driver.close();
    },
    60_000,
  );
});

/** An image of one layer that nothing compresses, known to the registry alone. */
async function push(docker: Docker, repo: string, tag: string): Promise<string> {
  const tar = pack();
  tar.entry({ name: "weights" }, randomBytes(LAYER_BYTES));
  tar.finalize();
  await readAll(await docker.importImage(tar, { repo, tag }));
  const image = docker.getImage(`${repo}:${tag}`);
  const { Id } = await image.inspect();
  await readAll(await image.push({ authconfig: { username: "", password: "", serveraddress: "" } }));
  await image.remove({ force: true });
  return Id;
}

async function readAll(answer: NodeJS.ReadableStream): Promise<void> {
  let said = "";
  for await (const chunk of answer) said += String(chunk);
  if (said.includes('"errorDetail"')) throw new Error(said);
}

async function remove(docker: Docker, image: string): Promise<void> {
  await docker
    .getImage(image)
    .remove({ force: true })
    .catch((error: unknown) => {
      if (!String(error).includes("No such image")) throw error;
    });
}

const MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
const MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json";

async function digestOf(registry: Registry, tag: string): Promise<string> {
  const url = `${registry.url}/v2/${NAME}/manifests/${tag}`;
  const { headers } = await fetch(url, { method: "HEAD", headers: { accept: MANIFEST } });
  return headers.get("docker-content-digest") ?? "";
}

/** A list that offers the image to one kind of machine, which this is not. */
async function pushForeign(registry: Registry, tag: string): Promise<void> {
  const manifest = await fetch(`${registry.url}/v2/${NAME}/manifests/1`, { headers: { accept: MANIFEST } });
  const size = (await manifest.arrayBuffer()).byteLength;
  const platform = { os: "linux", architecture: "s390x" };
  const manifests = [{ mediaType: MANIFEST, size, digest: await digestOf(registry, "1"), platform }];
  const pushed = await fetch(`${registry.url}/v2/${NAME}/manifests/${tag}`, {
    method: "PUT",
    headers: { "content-type": MANIFEST_LIST },
    body: JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST_LIST, manifests }),
  });
  if (!pushed.ok) throw new Error(`the list was refused: ${await pushed.text()}`);
}
