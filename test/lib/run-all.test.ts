import { expect, it } from "vitest";
import { runAll } from "../../src/lib/run-all.ts";

it("runs every step in order although some fail, and then tells of all faults", async () => {
  const ran: number[] = [];
  const step = (number: number, fault?: string) => () => {
    ran.push(number);
    return fault === undefined ? undefined : Promise.reject(new Error(fault));
  };
  await expect(runAll([step(1), step(2, "two"), step(3, "three"), step(4)])).rejects.toMatchObject({
    errors: [new Error("two"), new Error("three")],
  });
  expect(ran).toEqual([1, 2, 3, 4]);
  await expect(runAll([step(1, "only"), step(2)])).rejects.toThrow("only");
  await expect(runAll([step(1)])).resolves.toBeUndefined();
});
