// Which GPU is one that a recipe asks for.
import { describe, expect, it } from "vitest";
import { describeGpus, describeNeed, likenessOf, matchesHardware } from "../../src/catalog/hardware.ts";

const GIB = 2 ** 30;

describe("hardware", () => {
  it.each([
    ["MI300X", "AMD Instinct MI300X", true],
    ["mi300x", "AMD Instinct MI300X OAM", true],
    ["AMD Instinct MI300X", "MI300X", true],
    ["RX 7900", "AMD Radeon RX 7900 XTX", true],
    ["MI300", "AMD Instinct MI300X", false],
    ["MI300X", "AMD Instinct MI300A", false],
    ["RX 7900 XTX", "AMD Radeon RX 7900", false],
    ["AMD", "AMD Instinct MI300X", false],
  ])("%s suits %s: %s", (wanted, product, expected) => {
    expect(matchesHardware({ hardware: [wanted] }, { product })).toBe(expected);
  });

  it("any suits a recipe that names none", () => {
    expect(matchesHardware({ hardware: [] }, { product: "whatever" })).toBe(true);
  });

  it.each([
    ["MI300X", {}, true],
    ["gfx942", {}, true],
    ["GFX942", {}, true],
    ["gfx950", {}, false],
    ["gfx94", {}, false],
    ["", {}, true],
    ["MI300X", { partition: "SPX/NPS1" }, true],
    ["MI300X SPX", {}, true],
    ["MI300X", { partition: "CPX/NPS4" }, false],
    ["gfx942", { partition: "CPX/NPS4" }, false],
    ["", { partition: "CPX/NPS4" }, false],
    ["MI300X CPX", { partition: "CPX/NPS4" }, true],
    ["MI300X CPX", { partition: "CPX" }, true],
    ["MI300X CPX NPS4", { partition: "CPX/NPS4" }, true],
    ["MI300X CPX/NPS4", { partition: "CPX/NPS4" }, true],
    ["gfx942 cpx", { partition: "CPX/NPS4" }, true],
    ["MI300X CPX NPS1", { partition: "CPX/NPS4" }, false],
    ["MI300X DPX", { partition: "CPX/NPS4" }, false],
    ["MI300X CPX", {}, false],
    ["MI250 CPX", { partition: "CPX/NPS4" }, false],
    ["CPX", { partition: "CPX/NPS4" }, false],
  ])('"%s" suits an MI300X %o: %s', (wanted, traits, expected) => {
    const gpu = { product: "AMD Instinct MI300X", arch: "gfx942", ...traits };
    expect(matchesHardware({ hardware: wanted === "" ? [] : [wanted] }, gpu)).toBe(expected);
  });

  it.each([
    [192 * GIB, 191.98 * GIB, true],
    [192 * GIB, 64 * GIB, false],
    [40 * GIB, 39.59 * GIB, true],
    [64 * GIB, 48 * GIB, false],
    [64 * GIB, undefined, true],
  ])("of which %d bytes are asked may have %d: %s", (gpuMemoryBytes, memoryBytes, expected) => {
    const gpu = { product: "MI210", ...(memoryBytes === undefined ? {} : { memoryBytes }) };
    expect(matchesHardware({ hardware: [], gpuMemoryBytes }, gpu)).toBe(expected);
  });
});

describe("in words", () => {
  const mi300x = { product: "MI300X" };
  const cpx = { product: "MI300X", partition: "CPX/NPS4" };

  it("a machine is its GPUs by kind", () => {
    expect(describeGpus([mi300x, mi300x, cpx])).toBe("2 MI300X and 1 MI300X CPX/NPS4");
    expect(describeGpus([])).toBe("no GPUs");
  });

  it("a need is a count of each kind, with the memory of each GPU", () => {
    expect(describeNeed({ hardware: ["MI300X", "gfx950"] }, 2)).toBe("2 MI300X or 2 gfx950");
    expect(describeNeed({ hardware: [], gpuMemoryBytes: 64 * GIB }, 1)).toBe("1 GPU with at least 64 GiB");
    expect(describeNeed({ hardware: [] }, 4)).toBe("4 GPUs of one kind");
  });
});

describe("GPUs are alike", () => {
  it("when product, division and memory are, give or take what firmware keeps", () => {
    const likeness = (traits: object) => likenessOf({ product: "MI300X", memoryBytes: 192 * GIB, ...traits });
    expect(likeness({ memoryBytes: 191.98 * GIB })).toBe(likeness({}));
    expect(likeness({ memoryBytes: 64 * GIB })).not.toBe(likeness({}));
    expect(likeness({ partition: "CPX/NPS4" })).not.toBe(likeness({}));
    expect(likeness({ product: "MI325X" })).not.toBe(likeness({}));
  });
});
