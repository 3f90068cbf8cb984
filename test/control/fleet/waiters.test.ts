import { getEventListeners } from "node:events";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RequestTraits } from "../../../src/control/fleet/lease.ts";
import { Waiters, type Applicant } from "../../../src/control/fleet/waiters.ts";
import { isAimError } from "../../../src/errors.ts";

const never = new AbortController().signal;

function applicant(traits: Partial<RequestTraits> = {}, rest: Partial<Applicant> = {}): Applicant {
  return { since: 0, request: { bodyBytes: 1, ...traits }, signal: never, onLeave: () => {}, ...rest };
}

/** Waiters whose answers are told in the order they come. */
class Waiting {
  readonly waiters: Waiters<string>;
  readonly answers: string[] = [];
  /** What was told of those who found no place, or had to make some. */
  readonly full: string[] = [];

  constructor(limits: Partial<ConstructorParameters<typeof Waiters>[0]> = {}) {
    const usual = { maxPerModel: 1000, maxTotal: 10_000, maxBytes: 100_000 };
    this.waiters = new Waiters(
      { ...usual, ...limits },
      {
        retryAfterMs: () => 7_000,
        onFull: (model, { message }) => void this.full.push(`${model}: ${message}`),
      },
    );
  }

  add(
    name: string,
    traits: Partial<RequestTraits> = {},
    { model = "a", ...rest }: Partial<Applicant> & { model?: string } = {},
  ): void {
    const told = (error: unknown) =>
      void this.answers.push(`${name} ${isAimError(error) ? error.code : String(error)}`);
    this.waiters.add(model, applicant(traits, rest)).then((value) => void this.answers.push(`${name} ${value}`), told);
  }

  async granted(count: number): Promise<readonly string[]> {
    for (let one = 0; one < count; one++) this.waiters.grant("a", () => "granted");
    return this.told();
  }

  async told(): Promise<readonly string[]> {
    await Promise.resolve();
    return this.answers.splice(0).map((answer) => answer.replace(" granted", ""));
  }
}

describe("waiters", () => {
  it("are served in the order they came", async () => {
    const waiting = new Waiting();
    for (const name of ["1", "2", "3"]) waiting.add(name);
    expect(await waiting.granted(3)).toEqual(["1", "2", "3"]);
    expect(waiting.waiters.grant("a", () => "")).toBe(false);
  });

  it("leave in exactly one way, whatever comes first", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom("grant", "abort", "refuse", "push out"), { minLength: 1, maxLength: 5 }),
        async (ends) => {
          const waiting = new Waiting({ maxPerModel: 2 });
          const controller = new AbortController();
          waiting.add("older", { client: "greedy" });
          waiting.add("it", { client: "greedy" }, { signal: controller.signal });
          for (const end of ends) {
            if (end === "grant") for (const _ of [1, 2]) waiting.waiters.grant("a", () => "granted");
            if (end === "abort") controller.abort(new Error("aborted"));
            if (end === "refuse") waiting.waiters.refuse("a", new Error("refused"));
            if (end === "push out") waiting.add("modest", { client: "modest" });
          }
          waiting.waiters.refuse("a", new Error("over"));
          const expected = {
            grant: "it",
            abort: "it Error: aborted",
            refuse: "it Error: refused",
            "push out": "it queue_full",
          };
          const told = (await waiting.told()).filter((answer) => answer.startsWith("it"));
          expect(told).toEqual([expected[ends[0] ?? "grant"]]);
          expect(waiting.waiters.isEmpty).toBe(true);
        },
      ),
    );
  });

  it("leave nothing on the signals of their clients", () => {
    const { waiters } = new Waiting();
    const { signal } = new AbortController();
    for (const end of [() => waiters.grant("a", () => ""), () => waiters.refuse("a", new Error("refused"))]) {
      waiters.add("a", applicant({}, { signal })).catch(() => undefined);
      expect(getEventListeners(signal, "abort")).toHaveLength(1);
      end();
      expect(getEventListeners(signal, "abort")).toHaveLength(0);
    }
  });

  it("do not even begin when their client has left already", async () => {
    const { waiters } = new Waiting();
    const left = AbortSignal.abort(new Error("left"));
    await expect(waiters.add("a", applicant({}, { signal: left }))).rejects.toThrow("left");
    expect(waiters.isEmpty).toBe(true);
  });

  it("are not granted what their client's leaving has freed", async () => {
    const waiting = new Waiting();
    const client = new AbortController();
    client.signal.addEventListener("abort", () => waiting.waiters.grant("a", () => "granted"));
    waiting.add("gone", {}, { signal: AbortSignal.any([client.signal]) });
    waiting.add("there");
    client.abort(new Error("left"));
    expect(await waiting.told()).toEqual(["gone Error: left", "there"]);
  });

  it("go on waiting when what they were to get could not be made", async () => {
    const waiting = new Waiting();
    waiting.add("it");
    const fail = () => {
      throw new Error("no address");
    };
    expect(() => waiting.waiters.grant("a", fail)).toThrow("no address");
    expect(await waiting.granted(1)).toEqual(["it"]);
  });

  it("of a model are one crowd, with the oldest's time, the most urgent's rank, and the right of any", () => {
    const { waiters } = new Waiting();
    const add = (since: number, traits: Partial<RequestTraits>) => void waiters.add("a", applicant(traits, { since }));
    add(1_000, { priority: "low", mayStart: false });
    expect(waiters.crowds()).toEqual([{ model: "a", waiting: 1, since: 1_000, rank: 61_000, mayStart: false }]);
    add(2_000, { priority: "high" });
    add(3_000, {});
    expect(waiters.crowds()).toEqual([{ model: "a", waiting: 3, since: 1_000, rank: -58_000, mayStart: true }]);
    waiters.grant("a", () => "");
    expect(waiters.crowds()).toEqual([{ model: "a", waiting: 2, since: 1_000, rank: 3_000, mayStart: true }]);
    waiters.grant("a", () => "");
    expect(waiters.mayStart("a")).toBe(false);
  });

  it("without the right to start can be refused by themselves", async () => {
    const waiting = new Waiting();
    waiting.add("may");
    waiting.add("may not", { mayStart: false });
    waiting.waiters.refuseWithoutRight("a", new Error("asleep"));
    expect(await waiting.told()).toEqual(["may not Error: asleep"]);
    expect(waiting.waiters.count("a")).toBe(1);
  });
});

describe("the bounds on waiters", () => {
  it("hold per model, over all models, and for their bytes", async () => {
    const waiting = new Waiting({ maxPerModel: 2, maxTotal: 3, maxBytes: 100 });
    for (const name of ["1", "2", "3"]) waiting.add(name);
    expect(await waiting.told()).toEqual(["3 queue_full"]);
    waiting.add("4", { bodyBytes: 99 }, { model: "b" });
    expect(await waiting.told()).toEqual(["4 queue_full"]);
    waiting.add("5", { bodyBytes: 98 }, { model: "b" });
    waiting.add("6", { bodyBytes: 0 }, { model: "c" });
    expect(await waiting.told()).toEqual(["6 queue_full"]);
    expect(await waiting.granted(1)).toEqual(["1"]);
    waiting.add("7", { bodyBytes: 0 }, { model: "c" });
    expect(await waiting.told()).toEqual([]);
  });

  it("say when to come back", async () => {
    const { waiters } = new Waiting({ maxPerModel: 0 });
    await expect(waiters.add("a", applicant())).rejects.toMatchObject({ code: "queue_full", retryAfterMs: 7_000 });
  });

  it.each([
    ["of a model", { maxPerModel: 4 }, "a"],
    ["over all models", { maxTotal: 4 }, "b"],
  ])("%s give each client its share: the newest of who holds most makes way", async (_, limits, model) => {
    const waiting = new Waiting(limits);
    const left: string[] = [];
    for (const name of ["1", "2", "3", "4"])
      waiting.add(name, { client: "flood" }, { onLeave: () => void left.push(name) });
    waiting.add("5", { client: "other" }, { model });
    waiting.add("6", { client: "other" }, { model });
    waiting.add("7", { client: "other" }, { model });
    expect(await waiting.told()).toEqual(["4 queue_full", "3 queue_full", "7 queue_full"]);
    expect(waiting.full[0]).toContain("a: too many requests are waiting for");
    expect(waiting.full[0]).toContain("more of them yours than anybody else's; try again later");
    expect(waiting.full[2]).not.toContain("yours");
    expect(left).toEqual(["4", "3"]);
    waiting.add("8", { client: "flood" });
    expect(await waiting.told()).toEqual(["8 queue_full"]);
  });

  it("in bytes make as many go as it takes, and nobody where that would not do", async () => {
    const waiting = new Waiting({ maxBytes: 100 });
    for (const name of ["1", "2", "3", "4"]) waiting.add(name, { client: "flood", bodyBytes: 25 });
    waiting.add("5", { client: "other", bodyBytes: 51 });
    expect(await waiting.told()).toEqual(["5 queue_full"]);
    waiting.add("6", { client: "other", bodyBytes: 50 });
    expect(await waiting.told()).toEqual(["4 queue_full", "3 queue_full"]);
  });

  it("make nobody go for one whom another bound keeps out", async () => {
    const waiting = new Waiting({ maxPerModel: 2, maxBytes: 10 });
    for (const name of ["1", "2"]) waiting.add(name, { client: "flood" });
    waiting.add("3", { client: "other", bodyBytes: 9 });
    expect(await waiting.told()).toEqual(["3 queue_full"]);
    expect(waiting.waiters.count("a")).toBe(2);
  });

  it("are never exceeded, nor do clients within their share ever push each other out", async () => {
    const request = fc.record({
      client: fc.constantFrom("a", "b", "c", "d"),
      model: fc.constantFrom("a", "b"),
      bodyBytes: fc.nat(40),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(request, { maxLength: 60 }), async (requests) => {
        const limits = { maxPerModel: 8, maxTotal: 12, maxBytes: 200 };
        const { waiters } = new Waiting(limits);
        const inside = new Set<(typeof requests)[number]>();
        const held = (client: string, model?: string) =>
          [...inside].filter((one) => one.client === client && (model === undefined || one.model === model)).length;
        for (const one of requests) {
          const { model, ...traits } = one;
          inside.add(one);
          const onLeave = () => {
            expect(Math.max(held(one.client), held(one.client, model)) > 2 || bytesOf(inside, one.client) > 50).toBe(
              true,
            );
            inside.delete(one);
          };
          const before = waiters.count(model);
          waiters.add(model, applicant(traits, { onLeave })).catch(() => undefined);
          await Promise.resolve();
          if (waiters.count(model) === before && sum(waiters) === inside.size - 1) inside.delete(one);
          expect(sum(waiters)).toBe(inside.size);
          expect(inside.size).toBeLessThanOrEqual(limits.maxTotal);
          expect(waiters.count("a")).toBeLessThanOrEqual(limits.maxPerModel);
          expect([...inside].reduce((bytes, each) => bytes + each.bodyBytes, 0)).toBeLessThanOrEqual(limits.maxBytes);
        }
      }),
    );
  });
});

function sum(waiters: Waiters<string>): number {
  return waiters.count("a") + waiters.count("b");
}

function bytesOf(requests: Iterable<{ readonly client: string; readonly bodyBytes: number }>, client: string): number {
  return [...requests].filter((one) => one.client === client).reduce((bytes, one) => bytes + one.bodyBytes, 0);
}
