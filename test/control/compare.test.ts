import { describe, expect, it } from "vitest";
import { LABELS, LABEL_SCHEMA } from "../../src/catalog/launch-spec.ts";
import { compare, identityOf } from "../../src/control/compare.ts";
import type { Replica } from "../../src/control/replica.ts";
import type { ObservedReplica } from "../../src/runtime/driver.ts";
import { IDENTITY, makeReplica } from "../support/make-replica.ts";

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
    draining.transition("ready", "", 0);
    draining.transition("draining", "", 0);
    expect(find([], [draining])).toEqual(["died"]);
    const dozing = settled();
    for (const state of ["ready", "dozing"] as const) dozing.transition(state, "", 0);
    expect(find([], [dozing])).toEqual(["died"]);
    const sleeper = settled();
    sleeper.transition("sleeping", "", 0);
    expect(find([], [sleeper])).toEqual(["died"]);
    sleeper.transition("waking", "", 0);
    expect(find([], [sleeper])).toEqual(["died"]);
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

  it.each(["1", "0", "0.0", "-0.5", "half", ""])("a share of %j is none: the GPUs are held alone", (share) => {
    expect(identityOf({ ...labels, [LABELS.share]: share }, "docker")).not.toHaveProperty("gpuFraction");
  });

  it("labels bring back everything a replica needs", () => {
    const full = {
      ...labels,
      [LABELS.gpus]: "0000:01:00.0,0000:02:00.0",
      [LABELS.keepAlive]: "forever",
      [LABELS.recipeHash]: "h",
      [LABELS.launched]: "true",
      [LABELS.pinned]: "true",
      [LABELS.share]: "0.4",
    };
    expect(identityOf(full, "docker")).toEqual({
      ...IDENTITY,
      gpus: ["0000:01:00.0", "0000:02:00.0"],
      keepAliveMs: Infinity,
      launched: true,
      pinned: true,
      gpuFraction: 0.4,
      adopted: true,
    });
  });
});
