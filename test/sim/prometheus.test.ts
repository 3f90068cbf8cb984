import { describe, expect, it } from "vitest";
import { Counter, Exposition, Histogram } from "../../src/sim/prometheus.ts";

describe("Exposition", () => {
  it("writes each family with its help, its type and the common labels", () => {
    const out = new Exposition({ engine: "0" });
    out.gauge("up", "Is up.", 1);
    expect(out.toString()).toBe('# HELP up Is up.\n# TYPE up gauge\nup{engine="0"} 1.0\n');
  });

  it("writes a counter's labels, and nothing of a label it does not have", () => {
    const plain = new Counter();
    plain.add(2.5);
    const byReason = new Counter(["stop", "abort"]);
    byReason.add(1, "abort");
    const out = new Exposition({ engine: "0" });
    out.counter("a_total", "A.", plain);
    out.counter("b_total", "B.", byReason, "reason");
    expect(out.toString()).toContain('\na_total{engine="0"} 2.5\n');
    expect(out.toString()).toContain('b_total{engine="0",reason="stop"} 0.0\n');
    expect(out.toString()).toContain('b_total{engine="0",reason="abort"} 1.0\n');
  });

  it("writes cumulative buckets, the last of which has everything", () => {
    const histogram = new Histogram([1, 2]);
    for (const value of [0.5, 1, 1.5, 9]) histogram.observe(value);
    const out = new Exposition({ engine: "0" });
    out.histogram("h", "H.", histogram);
    expect(out.toString().split("\n").slice(2, -1)).toEqual([
      'h_bucket{engine="0",le="1.0"} 2.0',
      'h_bucket{engine="0",le="2.0"} 3.0',
      'h_bucket{engine="0",le="+Inf"} 4.0',
      'h_count{engine="0"} 4.0',
      'h_sum{engine="0"} 12.0',
    ]);
  });

  it("escapes what a label value may not hold", () => {
    const out = new Exposition({ model_name: 'a"b\\c\nd' });
    out.gauge("g", "G.", 0);
    expect(out.toString()).toContain(String.raw`g{model_name="a\"b\\c\nd"} 0.0`);
  });
});
