// Runs in every test file: a test that leaves servers, sockets, child processes or process listeners behind fails.
import { afterAll, beforeAll } from "vitest";
import { until } from "./until.ts";

const LEAKY = new Set(["TCPServerWrap", "TCPSocketWrap", "PipeWrap", "ProcessWrap", "FSEventWrap", "StatWatcher"]);
let before: ReadonlyMap<string, number>;

function resources(): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const name of process.getActiveResourcesInfo()) {
    if (LEAKY.has(name)) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

function leaked(): string[] {
  return [...resources()].filter(([name, count]) => count > (before.get(name) ?? 0)).map(([name]) => name);
}

beforeAll(() => {
  before = resources();
});

afterAll(async () => {
  await until(() => leaked().length === 0, { timeoutMs: 8_000 }).catch(() => {
    throw new Error(`this test file left resources open: ${leaked().join(", ")}`);
  });
});
