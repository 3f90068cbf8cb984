// Counters, gauges and histograms in Prometheus' text format, without a library: the engine runs in a bare image.

/** Adds up by one label value; a family without label uses "". */
export class Counter {
  readonly #values = new Map<string, number>();

  constructor(labelValues: readonly string[] = [""]) {
    for (const value of labelValues) this.#values.set(value, 0);
  }

  add(amount: number, labelValue = ""): void {
    this.#values.set(labelValue, (this.#values.get(labelValue) ?? 0) + amount);
  }

  get values(): ReadonlyMap<string, number> {
    return this.#values;
  }
}

/** Counts observations up to each of its bounds. */
export class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;
  #count = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = bounds.map(() => 0);
  }

  observe(value: number): void {
    this.#sum += value;
    this.#count++;
    const at = this.#bounds.findIndex((bound) => value <= bound);
    if (at >= 0) this.#counts[at] = (this.#counts[at] ?? 0) + 1;
  }

  get sum(): number {
    return this.#sum;
  }

  get count(): number {
    return this.#count;
  }

  /** Observations at or below each bound. */
  cumulative(): readonly { readonly bound: number; readonly count: number }[] {
    let running = 0;
    return this.#bounds.map((bound, index) => ({ bound, count: (running += this.#counts[index] ?? 0) }));
  }
}

/** Writes a scrape; every sample bears the common labels. */
export class Exposition {
  readonly #common: string;
  readonly #lines: string[] = [];

  constructor(common: Readonly<Record<string, string>>) {
    this.#common = labelsOf(common);
  }

  gauge(name: string, help: string, value: number, labels: Readonly<Record<string, string>> = {}): void {
    this.#family(name, help, "gauge");
    this.#sample(name, value, labels);
  }

  /** One sample per label value of the counter; `label` is its name. */
  counter(name: string, help: string, counter: Counter, label?: string): void {
    this.#family(name, help, "counter");
    for (const [value, total] of counter.values)
      this.#sample(name, total, label === undefined ? {} : { [label]: value });
  }

  histogram(name: string, help: string, histogram: Histogram): void {
    this.#family(name, help, "histogram");
    for (const { bound, count } of histogram.cumulative())
      this.#sample(`${name}_bucket`, count, { le: decimal(bound) });
    this.#sample(`${name}_bucket`, histogram.count, { le: "+Inf" });
    this.#sample(`${name}_count`, histogram.count, {});
    this.#sample(`${name}_sum`, histogram.sum, {});
  }

  /** A gauge with one sample per label value. */
  states(name: string, help: string, label: string, states: Readonly<Record<string, number>>): void {
    this.#family(name, help, "gauge");
    for (const [state, value] of Object.entries(states)) this.#sample(name, value, { [label]: state });
  }

  toString(): string {
    return `${this.#lines.join("\n")}\n`;
  }

  #family(name: string, help: string, type: string): void {
    this.#lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
  }

  #sample(name: string, value: number, labels: Readonly<Record<string, string>>): void {
    const own = labelsOf(labels);
    const all = own === "" ? this.#common : `${this.#common},${own}`;
    this.#lines.push(`${name}{${all}} ${decimal(value)}`);
  }
}

function labelsOf(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${value.replaceAll(/[\\"]/g, "\\$&").replaceAll("\n", "\\n")}"`)
    .join(",");
}

/** Python writes whole numbers as floats ("3.0"), and readers of vLLM's metrics have to cope with it. */
function decimal(value: number): string {
  return Number.isInteger(value) ? `${value}.0` : String(value);
}
