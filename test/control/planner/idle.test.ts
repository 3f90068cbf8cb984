import { describe, expect, it } from "vitest";
import { ids, replica, requests } from "../../support/make-snapshot.ts";
import { decide } from "../../support/plan-words.ts";

describe("a sleeper whose recipe has changed", () => {
  const stale = replica("a", { state: "sleeping", stale: true, residualShare: 0.3, waiting: 1, gpus: ids(0, 4) });

  it("is not woken for who waits for its model, and makes room for another one", () => {
    const demands = [requests("a")];
    expect(decide({ replicas: [stale], demands })).toEqual(["stop a-1 (stale)", "start a on 4"]);
    expect(decide({ replicas: [{ ...stale, gpus: ids(0, 8) }], demands })).toEqual(["stop a-1 (stale)"]);
  });
});
