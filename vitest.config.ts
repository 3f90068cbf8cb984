import { defineConfig } from "vitest/config";

const REPORT = "node_modules/.cache/test-report.json";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    setupFiles: ["test/support/setup.ts"],
    restoreMocks: true,
    testTimeout: 20_000,
    hookTimeout: 60_000,
    // Two at a time: the suites start real servers, processes and containers.
    maxWorkers: 2,
    reporters: process.env["CI"] === undefined ? ["default"] : ["default", ["json", { outputFile: REPORT }]],
  },
});
