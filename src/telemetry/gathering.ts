// Metrics that several threads count, each in a registry of its own, added up for whoever scrapes.
import { AggregatorRegistry, type MetricObjectWithValues, type MetricValue, type Registry } from "prom-client";

/** What was counted, as it goes from thread to thread. */
export type Samples = readonly MetricObjectWithValues<MetricValue<string>>[];

/** Counters and histograms: what a gauge shows is the business of one thread. */
export async function samplesOf(registry: Registry): Promise<Samples> {
  return (await registry.getMetricsAsJSON()).filter(({ type }) => isCounted(String(type)));
}

/** All of them with those of the registry itself, and its gauges as they are, in the format that Prometheus reads. */
export async function addedUp(registry: Registry, others: readonly Samples[]): Promise<string> {
  const own = await registry.getMetricsAsJSON();
  const gauges = own.filter(({ type }) => !isCounted(String(type)));
  const texts = await Promise.all([
    aggregated([await samplesOf(registry), ...others]).metrics(),
    ...gauges.map(({ name }) => registry.getSingleMetricAsString(name)),
  ]);
  return `${texts.map((text) => text.trimEnd()).join("\n\n")}\n`;
}

/** The same in one, for those who will count no more. */
export async function merged(all: readonly Samples[]): Promise<Samples> {
  return samplesOf(aggregated(all));
}

function aggregated(all: readonly Samples[]): Registry {
  return AggregatorRegistry.aggregate(all.map((samples) => [...samples]));
}

function isCounted(type: string): boolean {
  return type === "counter" || type === "histogram";
}
