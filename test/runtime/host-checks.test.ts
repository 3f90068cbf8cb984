import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { examineHost, type HostOptions } from "../../src/runtime/host-checks.ts";
import { limitsText, makeFiles, type FileTree } from "../support/proc-tree.ts";

const never = new AbortController().signal;
const GIB = 2 ** 30;

describe("the examination of the host", () => {
  const trees: FileTree[] = [];
  afterEach(() => Promise.all(trees.splice(0).map((tree) => tree.remove())));

  async function examine(files: Readonly<Record<string, string>>, options: Partial<HostOptions> = {}) {
    const tree = await makeFiles(files);
    trees.push(tree);
    const defaults = { procRoot: tree.root, nodeVersion: "v24.21.0", folders: [], memoryNeeds: [] };
    const checks = await examineHost({ ...defaults, ...options }, never);
    return new Map(checks.map((check) => [check.name, check]));
  }

  it("says nothing of what it cannot read", async () => {
    expect([...(await examine({})).keys()]).toEqual(["node"]);
  });

  it.each([
    ["v24.0.0", "ok"],
    ["v25.1.0", "ok"],
    ["v20.20.2", "problem"],
  ])("calls Node %s: %s", async (nodeVersion, status) => {
    expect((await examine({}, { nodeVersion })).get("node")?.status).toBe(status);
  });

  it.each([
    ["unlimited", "ok", "no limit"],
    ["65536", "ok", "at most 65536"],
    ["1024", "warning", "at most 1024, and each stream takes two"],
  ])("calls %s open files: %s", async (soft, status, found) => {
    const checks = await examine({ "self/limits": limitsText({ "Max open files": soft }) });
    expect(checks.get("open files")).toMatchObject({ status, found });
  });

  it("looks at the disk that a folder will be on, before it is there", async () => {
    const tree = await makeFiles({ "there/file": "" });
    trees.push(tree);
    const path = join(tree.root, "there/not-yet/logs");
    const checks = await examine({}, { folders: [{ name: "log folder", path }] });
    expect(checks.get("log folder")).toMatchObject({ status: "ok", found: expect.stringMatching(/^\/.* free$/) });
  });

  it("says where a folder cannot be", async () => {
    const tree = await makeFiles({ file: "" });
    trees.push(tree);
    const path = join(tree.root, "file/state");
    expect((await examine({}, { folders: [{ name: "state folder", path }] })).get("state folder")).toMatchObject({
      status: "problem",
      found: `${path} cannot be written (ENOTDIR)`,
      fix: expect.stringContaining("name another folder"),
    });
  });

  it("names the user who needs to own a folder", async () => {
    // Root may write everywhere but here.
    const path = "/proc/sys/state";
    expect((await examine({}, { folders: [{ name: "state folder", path }] })).get("state folder")).toMatchObject({
      status: "problem",
      fix: `sudo mkdir -p ${path} && sudo chown ${process.getuid?.()}:${process.getgid?.()} ${path}`,
    });
    const spaced = await examine({}, { folders: [{ name: "state folder", path: "/proc/sys/it's mine" }] });
    expect(spaced.get("state folder")?.fix).toContain(String.raw`sudo mkdir -p '/proc/sys/it'\''s mine' && `);
  });

  it("warns of memory that is counted on and not there", async () => {
    const meminfo = `MemTotal:       ${64 * 1024 * 1024} kB\nMemFree: 1 kB\nMemAvailable:   ${32 * 1024 * 1024} kB\n`;
    const enough = [{ what: "docker.shm", bytes: 16 * GIB }];
    expect((await examine({ meminfo }, { memoryNeeds: enough })).get("memory")).toMatchObject({
      status: "ok",
      found: "64 GiB, 32 GiB available",
    });
    const tooMuch = [...enough, { what: "resources.memory of recipe large", bytes: 96 * GIB }];
    expect((await examine({ meminfo }, { memoryNeeds: tooMuch })).get("memory")).toMatchObject({
      status: "warning",
      found: "64 GiB, 32 GiB available, but resources.memory of recipe large is 96 GiB",
    });
  });

  it("ends when it is told to", async () => {
    const options = { procRoot: "/proc", nodeVersion: "v24.0.0", folders: [], memoryNeeds: [] };
    await expect(examineHost(options, AbortSignal.abort(new Error("enough")))).rejects.toThrow("enough");
  });
});
