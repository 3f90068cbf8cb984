import fc from "fast-check";
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { createLogger, logRequest } from "../../src/telemetry/logger.ts";
import { REQUEST_ENDED, type RequestEnd } from "../../src/telemetry/request-line.ts";

/** What JSON escapes, what it does not, what ends lines elsewhere, and what is longer than pino looks at itself. No half of a surrogate pair: pino loses it. */
const text = fc.oneof(
  fc.constantFrom("", '"', "\\", "\n", "\u0000", "\u001f", "\u007f", "\u2028", "é", "🚀", '{"a":1}', '"'.repeat(200)),
  fc.string({ unit: "binary", maxLength: 300 }),
);
const ms = fc.oneof(fc.constantFrom(0, 0.1, 12.3, 1e21, 1e-7), fc.double({ min: 0 }));
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const fields = {
  requestId: text,
  route: text,
  client: optional(text),
  priority: optional(text),
  model: optional(text),
  replica: optional(text),
  status: fc.nat(999),
  outcome: text,
  phase: optional(text),
  coldStart: optional(fc.boolean()),
  queueMs: optional(ms),
  firstByteMs: optional(ms),
  durationMs: optional(ms),
  bytes: fc.maxSafeNat(),
};
const ends: fc.Arbitrary<RequestEnd> = fc.oneof(fc.record(fields), fc.record({ ...fields, reason: text }));
const levels = fc.constantFrom("debug" as const, "info" as const, "warn" as const);

const END: RequestEnd = {
  requestId: "r-1",
  route: "/v1/chat/completions",
  client: undefined,
  priority: undefined,
  model: "acme",
  replica: "acme-1",
  status: 200,
  outcome: "completed",
  phase: undefined,
  coldStart: false,
  queueMs: 0,
  firstByteMs: 1.5,
  durationMs: 2.5,
  bytes: 12,
};

/** A log, and what was written to it within the turn, but for the time, which goes on. */
function makeLog(level: string) {
  let writes: string[] = [];
  const logger = createLogger({ level, pretty: false }, { write: (lines) => void writes.push(lines) });
  const written = async () => {
    await new Promise((resolve) => setImmediate(resolve));
    const lines = writes.join("").replaceAll(/"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"/g, '"time":0');
    writes = [];
    return lines;
  };
  return { logger, written };
}

describe("the line of a request", () => {
  it("is to the byte what pino writes, whatever strings it is told", async () => {
    const [ours, theirs] = [makeLog("debug"), makeLog("debug")];
    await fc.assert(
      fc.asyncProperty(levels, ends, async (level, end) => {
        logRequest(ours.logger, level, end);
        theirs.logger[level](end, REQUEST_ENDED);
        const line = await ours.written();
        expect(line).toBe(await theirs.written());
        expect(line).toMatch(/^[^\n]+"time":0[^\n]+\n$/);
      }),
    );
  });

  it("stands in one order with all other lines", async () => {
    const { logger, written } = makeLog("info");
    logger.info("before");
    logRequest(logger, "info", END);
    logger.info("after");
    expect((await written()).match(/"msg":"[^"]+"/g)).toEqual([
      '"msg":"before"',
      '"msg":"request ended"',
      '"msg":"after"',
    ]);
  });

  it("is left out below the level of the log, also of one that was changed meanwhile", async () => {
    const { logger, written } = makeLog("info");
    logRequest(logger, "debug", END);
    logger.level = "warn";
    logRequest(logger, "info", END);
    expect(await written()).toBe("");
  });

  it("is written at once where it warns", () => {
    const writes: string[] = [];
    const logger = createLogger({ level: "info", pretty: false }, { write: (lines) => void writes.push(lines) });
    logRequest(logger, "info", END);
    expect(writes).toEqual([]);
    logRequest(logger, "warn", END);
    expect(writes.join("").split("\n")).toHaveLength(3);
  });

  it("takes the form of a logger that was made elsewhere", () => {
    const lines: string[] = [];
    logRequest(
      pino({ base: null, timestamp: false, messageKey: "text" }, { write: (line) => void lines.push(line) }),
      "info",
      END,
    );
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines.join(""))).toMatchObject({ level: 30, text: REQUEST_ENDED, model: "acme", bytes: 12 });
  });

  it("keeps what a child logger says of itself", async () => {
    const { logger, written } = makeLog("info");
    logRequest(logger.child({ worker: 3 }), "info", END);
    expect(JSON.parse(await written())).toMatchObject({ worker: 3, model: "acme" });
  });
});
