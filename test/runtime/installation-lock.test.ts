import { spawn } from "node:child_process";
import { once } from "node:events";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { isAimError } from "../../src/errors.ts";
import { lockInstallation } from "../../src/runtime/installation-lock.ts";
import { until } from "../support/until.ts";

const LOCK = join(import.meta.dirname, "../../src/runtime/installation-lock.ts");

describe("the lock of an installation", () => {
  it("is held by one gateway at a time, and the second is told who holds it", async () => {
    const name = `test-${randomUUID()}`;
    const lock = await lockInstallation(name);
    const error = await lockInstallation(name).catch((error: unknown) => error);
    expect(isAimError(error, "conflict")).toBe(true);
    expect(String(error)).toContain(`process ${process.pid}`);
    await lock.release();
    await (await lockInstallation(name)).release();
  });

  it("leaves other installations alone", async () => {
    const locks = await Promise.all([lockInstallation(`a-${randomUUID()}`), lockInstallation(`b-${randomUUID()}`)]);
    await Promise.all(locks.map((lock) => lock.release()));
  });

  it("ends with its process, even when that is killed", async () => {
    const name = `test-${randomUUID()}`;
    const script = `const { lockInstallation } = await import(${JSON.stringify(LOCK)}); await lockInstallation(${JSON.stringify(name)}); console.log("locked"); setInterval(() => {}, 1000);`;
    const holder = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(holder.stdout, "data");
    await expect(lockInstallation(name)).rejects.toThrow(`process ${holder.pid}`);
    holder.kill("SIGKILL");
    const lock = await until(() => lockInstallation(name).catch(() => undefined), { what: "the lock" });
    await lock.release();
  });
});
