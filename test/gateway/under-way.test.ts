import { describe, expect, it } from "vitest";
import { UnderWay } from "../../src/gateway/under-way.ts";

describe("what is under way", () => {
  it("is who was added and has not been deleted, in whatever order they go", () => {
    const list = new UnderWay<{ readonly name: number; place: number }>();
    const members = Array.from({ length: 9 }, (_, name) => ({ name, place: -1 }));
    for (const member of members) list.add(member);
    for (const at of [8, 0, 4, 7]) list.delete(members[at]!);
    expect(new Set(list.all())).toEqual(new Set([1, 2, 3, 5, 6].map((at) => members[at])));
    for (const at of [1, 6, 2, 5, 3]) list.delete(members[at]!);
    expect(list.all()).toEqual([]);
  });
});
