// What our gateway is to reach, beside what it has shown.
import { table } from "../../src/cli/table.ts";
import { addedTo, ofTrials, overIdle, ratioTo } from "./medians.ts";
import type { Results } from "./run.ts";

interface Bar {
  readonly what: string;
  readonly atMost?: number;
  readonly atLeast?: number;
  /** Not a number where the run does not tell. */
  readonly shown: (results: Results) => number;
}

const at = (workload: string, variant = "us") => ({ variant, workload });

const BARS: readonly Bar[] = [
  {
    what: "CPU per 1 KB request, x nginx",
    atMost: 3.5,
    shown: (results) => ratioTo("nginx", results, at("json"), ({ cpuUs }) => cpuUs.perRequest),
  },
  {
    what: "requests/s, x Portkey",
    atLeast: 20,
    shown: (results) => ratioTo("portkey", results, at("json"), ({ perSecond }) => perSecond.requests),
  },
  {
    what: "requests/s with two workers, x one",
    atLeast: 1.5,
    shown: (results) => ratioTo("us", results, at("json", "us-workers"), ({ perSecond }) => perSecond.requests),
  },
  {
    what: "CPU per chunk at 200 streams, x nginx",
    atMost: 1.4,
    shown: (results) => ratioTo("nginx", results, at("streams-200"), ({ cpuUs }) => cpuUs.perChunk),
  },
  {
    what: "streams per core, x nginx",
    atLeast: 0.9,
    shown: (results) => ofTrials(results, "us", ({ knee }) => knee) / ofTrials(results, "nginx", ({ knee }) => knee),
  },
  {
    what: "added TTFT at 200 streams, p50, ms",
    atMost: 0.7,
    shown: (results) => addedTo(results, at("streams-200"), ({ firstEvent }) => firstEvent).p50,
  },
  {
    what: "added TTFT at 200 streams, p99, ms",
    atMost: 1.5,
    shown: (results) => addedTo(results, at("streams-200"), ({ firstEvent }) => firstEvent).p99,
  },
  {
    what: "our look at a prompt of 100 KB, us",
    atMost: 10,
    shown: ({ readings }) => readings.find(({ workload }) => workload === "prompt-100k")?.readUs ?? NaN,
  },
  {
    what: "our look at a prompt of 4 MB, x a copy",
    atMost: 1.5,
    shown: ({ readings }) => {
      const reading = readings.find(({ workload }) => workload === "prompt-4m");
      return reading === undefined ? NaN : reading.readUs / reading.copyUs;
    },
  },
  {
    what: "MB per 1,000 streams, over idle",
    atMost: 20,
    shown: (results) => overIdle(results, at("streams-1000")),
  },
];

/** A table of the bars that this run can tell of; undefined when it is none. */
export function barsTable(results: Results): string | undefined {
  const rows = BARS.map((bar) => ({ ...bar, value: bar.shown(results) })).filter(({ value }) => !Number.isNaN(value));
  if (rows.length === 0) return undefined;
  const cells = rows.map(({ what, atMost = Infinity, atLeast = -Infinity, value }) => [
    what,
    atMost < Infinity ? `<= ${atMost}` : `>= ${atLeast}`,
    value.toFixed(2),
    value <= atMost && value >= atLeast ? "reached" : "missed",
  ]);
  return table(["OURS", "BAR", "SHOWN", ""], cells);
}
