// The smaller parts of the fleet, each by itself.
import { getEventListeners } from "node:events";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LABELS, LABEL_SCHEMA } from "../../src/catalog/launch-spec.ts";
import { pick } from "../../src/control/balance.ts";
import { compare, identityOf } from "../../src/control/compare.ts";
import { Replica, type ReplicaState } from "../../src/control/replica.ts";
import { Waiters } from "../../src/control/waiters.ts";
import { isAimError } from "../../src/errors.ts";
import type { ObservedReplica } from "../../src/runtime/driver.ts";

const IDENTITY = {
  name: "a-1",
  model: "a",
  recipeId: "a",
  recipeHash: "h",
  profileId: "0_gpu",
  runtime: "docker",
  gpus: [],
  adopted: false,
} as const;

function makeReplica(state: "pending" | "loading" = "loading"): Replica {
  return new Replica(IDENTITY, { recipe: undefined, profile: undefined }, { state, reason: "", now: 0, wallNow: 0 });
}

describe("a replica's states", () => {
  const STATES: readonly ReplicaState[] = [
    "pending",
    "pulling",
    "starting",
    "loading",
    "ready",
    "draining",
    "stopping",
    "failed",
    "gone",
  ];

  it("lead from every state to gone, and from gone nowhere", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...STATES), { maxLength: 30 }), (path) => {
        const replica = makeReplica("pending");
        for (const state of path) {
          const before = replica.state;
          try {
            replica.transition(state, "");
          } catch {
            expect(replica.state).toBe(before);
          }
        }
        if (replica.state !== "failed" && replica.state !== "stopping" && replica.state !== "gone")
          replica.transition("stopping", "");
        if (replica.state !== "gone") replica.transition("gone", "");
        for (const state of STATES) expect(() => replica.transition(state, "")).toThrow("illegal");
      }),
    );
  });

  it("never skip loading on the way to ready, nor come back from stopping", () => {
    expect(() => makeReplica("pending").transition("ready", "")).toThrow("illegal transition from pending to ready");
    const replica = makeReplica();
    replica.transition("stopping", "");
    expect(() => replica.transition("ready", "")).toThrow("illegal");
  });
});

describe("balancing", () => {
  const candidate = (inFlight: number, granted: number, hasRoom = true) => ({ inFlight, granted, hasRoom });

  it("prefers the least busy, then the one with fewer requests so far", () => {
    expect(pick([candidate(2, 0), candidate(1, 9), candidate(3, 0)])).toEqual(candidate(1, 9));
    expect(pick([candidate(0, 5), candidate(0, 4)])).toEqual(candidate(0, 4));
  });

  it("never picks one without room", () => {
    expect(pick([candidate(0, 0, false), candidate(9, 9)])).toEqual(candidate(9, 9));
    expect(pick([candidate(0, 0, false)])).toBeUndefined();
    expect(pick([])).toBeUndefined();
  });
});

describe("waiters", () => {
  const limits = { maxPerModel: 3, maxBytes: 1_000 };
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

describe("comparing the fleet with what runs", () => {
  const labels = {
    [LABELS.schema]: LABEL_SCHEMA,
    [LABELS.replica]: "a-1",
    [LABELS.model]: "a",
    [LABELS.recipe]: "a",
    [LABELS.profile]: "0_gpu",
  };
  const address = new URL("http://10.0.0.1:8000");
  const seen = (overrides: Partial<ObservedReplica> = {}): ObservedReplica => ({
    ref: { id: "id-1", name: "a-1" },
    labels,
    state: "running",
    address,
    ...overrides,
  });

  function settled(): Replica {
    const replica = makeReplica();
    Object.assign(replica, { ref: { id: "id-1", name: "a-1" }, refSince: 10, address });
    return replica;
  }

  function find(
    observed: readonly ObservedReplica[],
    replicas: readonly Replica[],
    options: { askedAt?: number; buried?: { id: string; at: number } } = {},
  ): readonly string[] {
    return compare({
      runtime: "docker",
      replicas,
      observed,
      askedAt: options.askedAt ?? 100,
      isBuried: (id, askedAt) => id === options.buried?.id && askedAt <= options.buried.at,
    }).map((finding) => finding.kind);
  }

  it.each([
    ["is as it was", [seen()], ["running"]],
    ["is not there", [], ["died"]],
    ["has exited", [seen({ state: "exited", exit: { code: 1, outOfMemory: false } })], ["died"]],
    ["was made anew and never started", [seen({ state: "created" })], ["died"]],
    ["is another one of the same name", [seen({ ref: { id: "id-2", name: "a-1" } })], ["died"]],
    ["is paused", [seen({ state: "unresponsive" })], ["frozen"]],
    ["has another address", [seen({ address: new URL("http://10.0.0.2:8000") })], ["moved"]],
  ])("a replica that %s", (_, observed, expected) => {
    expect(find(observed, [settled()])).toEqual(expected);
  });

  it("a replica that finishes what it has is missed, too", () => {
    const draining = settled();
    draining.transition("ready", "");
    draining.transition("draining", "");
    expect(find([], [draining])).toEqual(["died"]);
  });

  it("a replica of another runtime is not missed", () => {
    const elsewhere = Object.assign(settled(), { identity: { ...IDENTITY, runtime: "process" } });
    expect(find([], [elsewhere])).toEqual([]);
  });

  it("a list asked for before a replica began says nothing about it", () => {
    expect(find([], [settled()], { askedAt: 5 })).toEqual([]);
  });

  it("a list that arrives after a removal does not bring the replica back", () => {
    expect(find([seen()], [], { buried: { id: "id-1", at: 100 } })).toEqual([]);
  });

  it("a replica that still runs in a list asked for after its removal has not been removed", () => {
    expect(find([seen()], [], { buried: { id: "id-1", at: 99 } })).toEqual(["unknown"]);
  });

  it("of two strangers of one name only the first is taken over", () => {
    expect(find([seen(), seen({ ref: { id: "id-2", name: "copy" } })], [])).toEqual(["unknown", "foreign"]);
  });

  it("a stranger without an address is known by its labels: it holds its GPUs", () => {
    const { address: _, ...paused } = seen({ state: "unresponsive" });
    expect(find([paused], [])).toEqual(["unknown"]);
  });

  it("a start under way is left to its launcher", () => {
    expect(find([seen({ state: "created" })], [makeReplica("pending")])).toEqual([]);
  });

  it.each([
    ["runs", seen(), "unknown"],
    ["was never started", seen({ state: "created" }), "leftover"],
    ["has ended", seen({ state: "exited" }), "leftover"],
    ["has labels of a later version", seen({ labels: { ...labels, [LABELS.schema]: "99" } }), "foreign"],
    [
      "has ended, with labels of a later version",
      seen({ state: "exited", labels: { ...labels, [LABELS.schema]: "99" } }),
      "foreign",
    ],
    ["lacks labels", seen({ labels: { [LABELS.schema]: LABEL_SCHEMA } }), "foreign"],
  ])("a stranger that %s", (_, observed, expected) => {
    expect(find([observed], [])).toEqual([expected]);
  });

  it("a keep-alive label that is no time says nothing", () => {
    const { keepAliveMs, ...rest } = Object(identityOf({ ...labels, [LABELS.keepAlive]: "soon" }, "docker"));
    expect([keepAliveMs, rest.name]).toEqual([undefined, "a-1"]);
  });

  it("labels bring back everything a replica needs", () => {
    const full = {
      ...labels,
      [LABELS.gpus]: "0000:01:00.0,0000:02:00.0",
      [LABELS.keepAlive]: "forever",
      [LABELS.recipeHash]: "h",
    };
    expect(identityOf(full, "docker")).toEqual({
      ...IDENTITY,
      gpus: ["0000:01:00.0", "0000:02:00.0"],
      keepAliveMs: Infinity,
      adopted: true,
    });
  });
});
