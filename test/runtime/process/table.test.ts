import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { inBatches, isLive, parseEnviron, parseStat, ProcessTable } from "../../../src/runtime/process/table.ts";

const REST = "1 4321 4321 0 -1 4194304 9 0 0 0 150 50 7 3 20 0 12 0 98765 1000 200 18446744073709551615";

describe("parseStat", () => {
  it.each(["node", "a b", "a) R 1 2", "VLLM::EngineCor", "", "(x)"])("reads past the name (%s)", (name) => {
    const stat = parseStat(`4321 (${name}) S ${REST}`);
    expect(stat).toEqual({ pid: 4321, state: "S", group: 4321, cpuTicks: 210, startTicks: 98765 });
  });

  it.each(["", "4321", "4321 (node) S", "x (node) S 1 2 3", `4321 (node) S ${REST.slice(0, 40)}`])(
    "has no answer for a line that is not whole (%s)",
    (text) => {
      expect(parseStat(text)).toBeUndefined();
    },
  );
});

describe("parseEnviron", () => {
  it("splits at NULs and at the first equals sign", () => {
    const environ = parseEnviron("A=1\0B=x=y\0C=\0=odd\0junk\0D=ä\n\0");
    expect([...environ]).toEqual([
      ["A", "1"],
      ["B", "x=y"],
      ["C", ""],
      ["D", "ä\n"],
    ]);
  });

  it("finds nothing in the empty environment of a zombie", () => {
    expect(parseEnviron("").size).toBe(0);
  });
});

describe("isLive", () => {
  it("does not count a zombie or a process that is not there", () => {
    const stat = parseStat(`4321 (node) S ${REST}`)!;
    expect([stat, { ...stat, state: "T" }, { ...stat, state: "Z" }, undefined].map(isLive)).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });
});

describe("ProcessTable", () => {
  const table = new ProcessTable();

  it("sees this very process: its start, environment and memory", async () => {
    const stat = await table.stat(process.pid);
    expect(stat).toMatchObject({ pid: process.pid });
    expect(table.statNow(process.pid)?.startTicks).toBe(stat?.startTicks);
    expect((await table.all()).map((one) => one.pid)).toContain(process.pid);
    expect((await table.environ(process.pid))?.get("PATH")).toBe(process.env["PATH"]);
    expect(await table.residentBytes(process.pid)).toBeGreaterThan(1_000_000);
    const upMs = Date.now() - (await table.startedAt(stat!));
    expect(Math.abs(upMs - process.uptime() * 1000)).toBeLessThan(5000);
  });

  it("has no answer for a process that is gone", async () => {
    const gone = 2 ** 30;
    expect(await table.stat(gone)).toBeUndefined();
    expect(table.statNow(gone)).toBeUndefined();
    expect(await table.environ(gone)).toBeUndefined();
    expect(await table.residentBytes(gone)).toBe(0);
  });

  it("is empty where there is no /proc", async () => {
    const none = new ProcessTable("/no-such-proc");
    expect(await none.isAvailable()).toBe(false);
    expect(await table.isAvailable()).toBe(true);
    expect(await none.all()).toEqual([]);
  });

  it("reads in batches and keeps the order", async () => {
    let [atOnce, most] = [0, 0];
    const numbers = Array.from({ length: 100 }, (_, index) => index);
    const results = await inBatches(numbers, async (number) => {
      most = Math.max(most, ++atOnce);
      await new Promise((resolve) => setImmediate(resolve));
      atOnce -= 1;
      return number;
    });
    expect(results).toEqual(numbers);
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThan(100);
  });

  describe("over a made-up /proc", () => {
    let root: string;
    afterEach(() => rm(root, { recursive: true }));

    it("leaves out the kernel's own threads and what is no process", async () => {
      root = await mkdtemp(join(tmpdir(), "proc-"));
      for (const [pid, text] of [
        ["4321", `4321 (node) S ${REST}`],
        ["2", `2 (kthreadd) S 0 0 0 ${REST.slice(12)}`],
        ["net", "not a process"],
      ] as const) {
        await mkdir(join(root, pid));
        await writeFile(join(root, pid, "stat"), text);
      }
      expect((await new ProcessTable(root).all()).map((one) => one.pid)).toEqual([4321]);
    });

    it("lets others have their turn while it reads hundreds of processes", async () => {
      root = await mkdtemp(join(tmpdir(), "proc-"));
      for (let pid = 1; pid <= 200; pid++) {
        await mkdir(join(root, `${pid}`));
        await writeFile(join(root, `${pid}`, "stat"), `${pid} (node) S ${REST}`);
      }
      let turns = 0;
      let isReading = true;
      const others = () => {
        turns += 1;
        if (isReading) setImmediate(others);
      };
      setImmediate(others);
      expect(await new ProcessTable(root).all()).toHaveLength(200);
      isReading = false;
      expect(turns).toBeGreaterThanOrEqual(6);
    });
  });
});
