import fc from "fast-check";
import { expect, it } from "vitest";
import { Line } from "../../../src/control/fleet/line.ts";

it("is a list from which anybody may leave", () => {
  const deed = fc.record({ kind: fc.constantFrom("add", "delete"), value: fc.nat(5) });
  fc.assert(
    fc.property(fc.array(deed), (deeds) => {
      const line = new Line<number>();
      let list: readonly number[] = [];
      for (const { kind, value } of deeds) {
        if (kind === "delete") expect(line.delete(value)).toBe(list.includes(value));
        else if (!list.includes(value)) line.add(value);
        const others = list.filter((other) => other !== value);
        list = kind === "delete" ? others : list.includes(value) ? list : [...list, value];
        expect([line.first, line.last, line.size, line.all()]).toEqual([list[0], list.at(-1), list.length, list]);
      }
    }),
  );
});

it("refuses what stands in it already", () => {
  const line = new Line<number>();
  line.add(1);
  expect(() => line.add(1)).toThrow("twice");
});
