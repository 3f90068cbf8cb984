import { describe, expect, it } from "vitest";
import { LABELS } from "../../../src/catalog/launch-spec.ts";
import { groupByReplica, pidOf, refId, type Bearer } from "../../../src/runtime/process/replicas.ts";

function bearer(pid: number, group: number, startTicks: number, replica = "r-1"): Bearer {
  const labels: Record<string, string> = replica === "" ? {} : { [LABELS.replica]: replica };
  const stat = { pid, state: "S", group, cpuTicks: 0, startTicks };
  return { stat, marks: { labels, address: new URL("http://127.0.0.1:1") } };
}

describe("groupByReplica", () => {
  it("takes the oldest group leader for the replica and the others for its members", () => {
    const found = groupByReplica([bearer(30, 30, 300), bearer(20, 10, 200), bearer(10, 10, 100)]);
    expect(found.get("r-1")).toMatchObject({ ref: { id: "10:100", name: "r-1" }, isOrphaned: false });
    expect(found.get("r-1")?.members.map((member) => member.pid)).toEqual([10, 20, 30]);
  });

  it("calls children whose leader has ended orphaned, and names them after the oldest", () => {
    const found = groupByReplica([bearer(30, 10, 300), bearer(20, 10, 200)]);
    expect(found.get("r-1")).toMatchObject({ ref: { id: "20:200" }, isOrphaned: true });
  });

  it("keeps replicas apart and leaves out marks without a name", () => {
    const found = groupByReplica([bearer(1, 1, 1), bearer(2, 2, 2, "r-2"), bearer(3, 3, 3, "")]);
    expect([...found.keys()]).toEqual(["r-1", "r-2"]);
  });
});

describe("a ref id", () => {
  it("tells the pid, or nobody's pid where it is none of ours", () => {
    const { stat } = bearer(10, 10, 100);
    expect(["10:100", refId(stat), "abc", "", "1e9:3", "99999999999999999999:1"].map(pidOf)).toEqual([
      10, 10, 0, 0, 0, 0,
    ]);
  });
});
