import fc from "fast-check";
import { AggregatorRegistry, Counter, Histogram, Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import { CounterFamily, HistogramFamily } from "../../src/telemetry/families.ts";

const BUCKETS = [0.005, 0.1, 1, 2.5, 600];
const COUNTER = { name: "events_total", help: 'What "happened",\nby \\ kind.', labelNames: ["kind", "who"] } as const;
const HISTOGRAM = { name: "seconds", help: "How long it took.", labelNames: ["who", "how"], buckets: BUCKETS } as const;

interface Seen {
  readonly kind: string;
  readonly who: string;
  readonly seconds: number;
}

/** Values that Prometheus has to escape, that objects have of their own, and that look alike when written one after the other. */
const value = fc.oneof(
  fc.constantFrom("a", "b", "", '"', "\\", "\n", 'a",who="b', "kind:a,", "1", "2", "__proto__", "constructor", "é"),
  fc.string(),
);
const seconds = fc.oneof(
  fc.constantFrom(0, -1, ...BUCKETS, 0.1 + 0.2, 601, 1e300),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);
const observations = fc.array(fc.record({ kind: value, who: value, seconds }), { maxLength: 60 });

function theirs(seen: readonly Seen[]): Registry {
  const registry = new Registry();
  const counter = new Counter({ ...COUNTER, registers: [registry] });
  const histogram = new Histogram({ ...HISTOGRAM, buckets: [...BUCKETS], registers: [registry] });
  for (const { kind, who, seconds } of seen) {
    counter.inc({ kind, who });
    histogram.observe({ who, how: kind }, seconds);
  }
  return registry;
}

function ours(seen: readonly Seen[]): Registry {
  const registry = new Registry();
  const counter = new CounterFamily({ ...COUNTER, registers: [registry] });
  const histogram = new HistogramFamily({ ...HISTOGRAM, registers: [registry] });
  for (const { kind, who, seconds } of seen) {
    counter.labels(kind, who).inc();
    histogram.labels(who, kind).observe(seconds);
  }
  return registry;
}

async function gathered(registries: readonly Registry[]): Promise<string> {
  const each = await Promise.all(registries.map((registry) => registry.getMetricsAsJSON()));
  return await AggregatorRegistry.aggregate(each).metrics();
}

describe("the families of the hot path", () => {
  it("say the same bytes as prom-client's metrics, whatever was observed", async () => {
    await fc.assert(
      fc.asyncProperty(observations, async (seen) => {
        expect(await ours(seen).metrics()).toBe(await theirs(seen).metrics());
      }),
    );
  });

  it("are gathered from several registries as prom-client's metrics are", async () => {
    await fc.assert(
      fc.asyncProperty(observations, observations, async (here, there) => {
        expect(await gathered([ours(here), ours(there)])).toBe(await gathered([theirs(here), theirs(there)]));
      }),
    );
  });

  it("tell label sets apart that differ only in where one value ends and the next begins", async () => {
    const family = new CounterFamily({ ...COUNTER, registers: [] });
    family.labels("ab", "c").inc();
    family.labels("a", "bc").inc();
    expect((await family.get()).values).toEqual([
      { value: 1, labels: { kind: "ab", who: "c" } },
      { value: 1, labels: { kind: "a", who: "bc" } },
    ]);
  });

  it("have the same child for the same labels, until they are reset", () => {
    const counter = new CounterFamily({ ...COUNTER, registers: [] });
    const histogram = new HistogramFamily({ ...HISTOGRAM, registers: [] });
    const children = [counter.labels("a", "b"), histogram.labels("a", "b")];
    expect([counter.labels("a", "b"), histogram.labels("a", "b")]).toEqual(children);
    expect(counter.labels("a", "b")).toBe(children[0]);
    counter.reset();
    histogram.reset();
    expect(counter.labels("a", "b")).not.toBe(children[0]);
    expect(histogram.labels("a", "b")).not.toBe(children[1]);
  });

  it("are empty after the registry was reset", async () => {
    const registry = ours([{ kind: "a", who: "b", seconds: 1 }]);
    registry.resetMetrics();
    expect(await registry.metrics()).toBe(await ours([]).metrics());
  });

  it("refuse what would spoil a sum for ever", () => {
    const child = new HistogramFamily({ ...HISTOGRAM, registers: [] }).labels("a", "b");
    for (const value of [NaN, Infinity, -Infinity]) expect(() => child.observe(value)).toThrow(TypeError);
    expect([child.sum, child.count]).toEqual([0, 0]);
  });

  it("take no name that is taken", () => {
    const registry = ours([]);
    expect(() => new CounterFamily({ ...COUNTER, registers: [registry] })).toThrow("already been registered");
  });
});
