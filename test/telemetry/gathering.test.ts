import { describe, expect, it } from "vitest";
import { addedUp, merged, samplesOf } from "../../src/telemetry/gathering.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";

function counted(times: number) {
  const metrics = createMetrics({ version: "1" });
  const labels = { route: "/v1/completions", model: "m" };
  for (let time = 0; time < times; time++) {
    metrics.requests.labels(labels.route, labels.model, "200").inc();
    metrics.requestSeconds.labels(labels.route, labels.model).observe(0.02);
  }
  metrics.inFlight.set({ model: "m" }, times);
  return metrics.registry;
}

describe("metrics of several threads", () => {
  it("adds up counters and histograms, and takes gauges from the first alone", async () => {
    const text = await addedUp(counted(1), [await samplesOf(counted(2)), await samplesOf(counted(4))]);
    expect(text).toContain('aim_http_requests_total{route="/v1/completions",model="m",code="200"} 7');
    expect(text).toMatch(/aim_request_duration_seconds_bucket\{.*le="0.025".*\} 7/);
    expect(text).toMatch(/aim_request_duration_seconds_count\{.*\} 7/);
    expect(text).toContain('aim_requests_in_flight{model="m"} 1');
    expect(text).toContain('aim_build_info{version="1"} 1');
  });

  it("shows alone what one thread alone has, as its registry would", async () => {
    const registry = counted(3);
    const lines = (text: string) =>
      text
        .split("\n")
        .filter((line) => line !== "")
        .sort();
    expect(lines(await addedUp(registry, []))).toEqual(lines(await registry.metrics()));
  });

  it("leaves out nothing that the process says of itself", async () => {
    const { registry } = createMetrics({ processMetrics: true });
    const names = (text: string) => [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => String(name)).sort();
    const shown = names(await addedUp(registry, []));
    expect(shown).toEqual(names(await registry.metrics()));
    expect(shown).toContain("process_start_time_seconds");
  });

  it("keeps what those had counted who are gone", async () => {
    const past = await merged([await samplesOf(counted(2)), await samplesOf(counted(3))]);
    expect(await addedUp(counted(0), [past])).toContain('code="200"} 5');
  });
});
