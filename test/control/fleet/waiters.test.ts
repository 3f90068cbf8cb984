import { getEventListeners } from "node:events";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Waiters } from "../../../src/control/fleet/waiters.ts";
import { isAimError } from "../../../src/errors.ts";

describe("waiters", () => {
  const limits = { maxPerModel: 3, maxTotal: 10_000, maxBytes: 1_000 };
  const entry = (signal: AbortSignal, bytes = 1) => ({ since: 0, bytes, signal, onLeave: () => {} });
  const never = new AbortController().signal;

  it("are served in the order they came", async () => {
    const waiters = new Waiters<number>(limits);
    const all = [1, 2, 3].map(() => waiters.add("a", entry(never)));
    [10, 20, 30].map((value) => waiters.grant("a", () => value));
    expect(await Promise.all(all)).toEqual([10, 20, 30]);
    expect(waiters.grant("a", () => 0)).toBe(false);
  });

  it("are bounded in count per model and in bytes over all", async () => {
    const waiters = new Waiters<number>(limits);
    for (let count = 0; count < 3; count++) void waiters.add("a", entry(never));
    const refused = await waiters.add("a", entry(never)).catch((error: unknown) => error);
    expect(isAimError(refused, "queue_full")).toBe(true);
    const tooBig = await waiters.add("b", entry(never, 999)).catch((error: unknown) => error);
    expect(isAimError(tooBig, "queue_full")).toBe(true);
    waiters.grant("a", () => 0);
    void waiters.add("b", entry(never, 998));
    expect(waiters.count("b")).toBe(1);
  });

  it("leave in exactly one way, whatever comes first", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom("grant", "abort", "refuse"), { minLength: 1, maxLength: 5 }),
        async (ends) => {
          const waiters = new Waiters<string>(limits);
          const controller = new AbortController();
          const outcome = waiters.add("a", entry(controller.signal)).catch((error: unknown) => String(error));
          for (const end of ends) {
            if (end === "grant") waiters.grant("a", () => "granted");
            if (end === "abort") controller.abort(new Error("aborted"));
            if (end === "refuse") waiters.refuse("a", new Error("refused"));
          }
          const expected = { grant: "granted", abort: "Error: aborted", refuse: "Error: refused" }[ends[0] ?? "grant"];
          expect(await outcome).toBe(expected);
          expect(waiters.isEmpty).toBe(true);
        },
      ),
    );
  });

  it("leave nothing on the signals of their clients", () => {
    const waiters = new Waiters<string>(limits);
    const { signal } = new AbortController();
    for (const end of [() => waiters.grant("a", () => ""), () => waiters.refuse("a", new Error("refused"))]) {
      waiters.add("a", entry(signal)).catch(() => undefined);
      expect(getEventListeners(signal, "abort")).toHaveLength(1);
      end();
      expect(getEventListeners(signal, "abort")).toHaveLength(0);
    }
  });

  it("do not even begin when their client has left already", async () => {
    const waiters = new Waiters<string>(limits);
    await expect(waiters.add("a", entry(AbortSignal.abort(new Error("left"))))).rejects.toThrow("left");
    expect(waiters.isEmpty).toBe(true);
  });
});
