// Counters and histograms of the hot path, in prom-client's registry beside its own: what it renders is the same, but a child
// is looked up without hashing its labels (the most that a request pays for metrics otherwise), and counts by plain additions.
import type { Metric, Registry } from "prom-client";

/** What each family says of itself. The values of a child come in the order of the label names. */
interface FamilyInit<Names extends readonly string[]> {
  readonly name: string;
  readonly help: string;
  readonly labelNames: Names;
  readonly registers: readonly Registry[];
}

/** One value for each label name. */
type ValuesOf<Names extends readonly string[]> = { readonly [At in keyof Names]: string };

type Labels = Readonly<Record<string, string | number>>;

/** A line of the exposition; prom-client takes the family's name where none is given. */
interface Sample {
  readonly value: number;
  readonly labels: Labels;
  readonly metricName?: string;
}

/** What prom-client's registry asks of a metric. */
interface Registered {
  readonly name: string;
  readonly type: "counter" | "histogram";
  get(): Promise<{ readonly values: readonly Sample[] }>;
  reset(): void;
}

export class CounterFamily<const Names extends readonly string[]> implements Registered {
  readonly name: string;
  readonly type = "counter";
  readonly #help: string;
  readonly #children: Children<CounterChild>;

  constructor({ name, help, labelNames, registers }: FamilyInit<Names>) {
    this.name = name;
    this.#help = help;
    this.#children = new Children(labelNames, (labels) => new CounterChild(labels));
    register(this, registers);
  }

  /** The child of these label values; new ones begin at 0. */
  labels(...values: ValuesOf<Names>): CounterChild {
    return this.#children.at(values);
  }

  async get() {
    const values = this.#children.all.map(({ value, labels }): Sample => ({ value, labels }));
    return { name: this.name, help: this.#help, type: this.type, values, aggregator: "sum" };
  }

  /** Children that somebody still has are counted no more. */
  reset(): void {
    this.#children.clear();
  }
}

export class CounterChild {
  readonly labels: Labels;
  value = 0;

  constructor(labels: Labels) {
    this.labels = labels;
  }

  inc(): void {
    this.value += 1;
  }
}

export class HistogramFamily<const Names extends readonly string[]> implements Registered {
  readonly name: string;
  readonly type = "histogram";
  readonly #help: string;
  readonly #bounds: readonly number[];
  readonly #children: Children<HistogramChild>;

  /** The buckets are upper bounds, rising. */
  constructor({
    name,
    help,
    labelNames,
    registers,
    buckets,
  }: FamilyInit<Names> & { readonly buckets: readonly number[] }) {
    this.name = name;
    this.#help = help;
    this.#bounds = buckets;
    this.#children = new Children(labelNames, (labels) => new HistogramChild(labels, buckets));
    register(this, registers);
  }

  /** The child of these label values; new ones begin empty. */
  labels(...values: ValuesOf<Names>): HistogramChild {
    return this.#children.at(values);
  }

  async get() {
    const values = this.#children.all.flatMap((child) => this.#samples(child));
    return { name: this.name, help: this.#help, type: this.type, values, aggregator: "sum" };
  }

  /** Children that somebody still has are observed no more. */
  reset(): void {
    this.#children.clear();
  }

  #samples({ labels, counts, sum, count }: HistogramChild): Sample[] {
    const metricName = `${this.name}_bucket`;
    let upTo = 0;
    const buckets = this.#bounds.map((le, at): Sample => {
      upTo += counts[at] ?? 0;
      return { metricName, value: upTo, labels: { le, ...labels } };
    });
    return [
      ...buckets,
      { metricName, value: count, labels: { le: "+Inf", ...labels } },
      { metricName: `${this.name}_sum`, value: sum, labels },
      { metricName: `${this.name}_count`, value: count, labels },
    ];
  }
}

export class HistogramChild {
  readonly labels: Labels;
  /** Of what fell into each bucket and no smaller one; the last is of what is beyond all. */
  readonly counts: number[];
  sum = 0;
  count = 0;
  readonly #bounds: readonly number[];

  constructor(labels: Labels, bounds: readonly number[]) {
    this.labels = labels;
    this.counts = Array.from({ length: bounds.length + 1 }, () => 0);
    this.#bounds = bounds;
  }

  /** One that is no number would spoil the sum for ever. */
  observe(value: number): void {
    if (!Number.isFinite(value)) throw new TypeError(`not a finite number: ${value}`);
    let at = 0;
    while (value > (this.#bounds[at] ?? Infinity)) at++;
    this.counts[at] = (this.counts[at] ?? 0) + 1;
    this.sum += value;
    this.count += 1;
  }
}

/** Where the values of the first labels lead; the child stands where there is a value for each. */
class Branch<Child> {
  readonly next = new Map<string, Branch<Child>>();
  child: Child | undefined;
}

class Children<Child> {
  /** In the order in which they came. */
  all: readonly Child[] = [];
  readonly #names: readonly string[];
  readonly #make: (labels: Labels) => Child;
  #root = new Branch<Child>();

  constructor(names: readonly string[], make: (labels: Labels) => Child) {
    this.#names = names;
    this.#make = make;
  }

  at(values: readonly string[]): Child {
    let branch = this.#root;
    for (const value of values) branch = branch.next.get(value) ?? grow(branch, value);
    return branch.child ?? this.#add(branch, values);
  }

  clear(): void {
    this.all = [];
    this.#root = new Branch();
  }

  #add(branch: Branch<Child>, values: readonly string[]): Child {
    const child = this.#make(Object.fromEntries(this.#names.map((name, at) => [name, values[at] ?? ""])));
    branch.child = child;
    this.all = [...this.all, child];
    return child;
  }
}

function grow<Child>(branch: Branch<Child>, value: string): Branch<Child> {
  const next = new Branch<Child>();
  branch.next.set(value, next);
  return next;
}

function register(family: Registered, registers: readonly Registry[]): void {
  // The registry calls what `Registered` names and nothing else, though its types ask for a whole metric of prom-client's own.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const metric = family as unknown as Metric;
  for (const registry of registers) registry.registerMetric(metric);
}
