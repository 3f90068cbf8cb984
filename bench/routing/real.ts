// The same requests on virtual replicas and on real processes behind the real gateway, under the policies that it offers.
import { table } from "../../src/cli/table.ts";
import { GENERATORS } from "./generators.ts";
import { LEAST_IN_FLIGHT, OURS, ROUND_ROBIN, type Policy } from "./policies.ts";
import { askAll } from "./real/clients.ts";
import { MODEL, openSite } from "./real/site.ts";
import { run, ttftOf, type Outcome } from "./run.ts";
import { SPEED, type Speed } from "./speed.ts";
import { atLoad, type Workload } from "./workload.ts";

export interface Comparison {
  readonly policy: string;
  readonly virtual: Measured;
  readonly real: Measured;
}

type Measured = Pick<Outcome, "ttft" | "hitRate">;

const REPLICAS = 4;
const LOAD = 0.9;
/** A good minute of chats. */
const REQUESTS = 250;
/** One machine is all of the replicas, the gateway and the clients: what that costs must be little beside what is simulated. */
const SLOWER = 3;
/** Of the length of answers, each token of which has to be said. */
const ANSWERS = 0.25;
const REAL_SPEED: Speed = {
  ...SPEED,
  prefillMsPerToken: SLOWER * SPEED.prefillMsPerToken,
  decodeMsPerToken: SLOWER * SPEED.decodeMsPerToken,
  decodeMsPerSequence: SLOWER * SPEED.decodeMsPerSequence,
};
const POLICIES = [ROUND_ROBIN, LEAST_IN_FLIGHT, OURS];

/** One policy after the other, each with a gateway and replicas of its own. */
export async function compareReal(): Promise<Comparison[]> {
  const workload = realWorkload();
  const options = { replicas: REPLICAS, speed: REAL_SPEED };
  const comparisons: Comparison[] = [];
  for (const policy of POLICIES) {
    const virtual = run(workload, policy, { ...options, seed: 1 });
    comparisons.push({ policy: policy.name, virtual, real: await runReal(workload, policy) });
  }
  return comparisons;
}

/** What `compareReal` asks for. */
export function realWorkload(): Workload {
  const chats = GENERATORS["chats"]?.({ seed: 1, requests: REQUESTS });
  if (chats === undefined) throw new Error("there is no generator of chats");
  const asks = chats.asks.map((ask) => ({ ...ask, outputTokens: Math.ceil(ask.outputTokens * ANSWERS) }));
  return atLoad({ ...chats, asks }, LOAD, REPLICAS, REAL_SPEED);
}

async function runReal({ asks }: Workload, { name }: Policy): Promise<Measured> {
  await using gateway = await openSite({ balance: name, replicas: REPLICAS, speed: REAL_SPEED });
  const answered = await askAll(asks, { url: gateway.url, model: MODEL });
  const sum = (figure: "promptTokens" | "cachedTokens") => answered.reduce((total, one) => total + one[figure], 0);
  return { ttft: ttftOf(answered.map(({ waitMs }) => waitMs)), hitRate: sum("cachedTokens") / sum("promptTokens") };
}

export function realTable(comparisons: readonly Comparison[]): string {
  const heads = ["POLICY", "", "MEAN", "P50", "P99", "CACHED", "OF ROUND ROBIN"];
  const rows = comparisons.flatMap((comparison) =>
    (["virtual", "real"] as const).map((kind) => {
      const { ttft, hitRate } = comparison[kind];
      const other = comparisons.find(({ policy }) => policy === ROUND_ROBIN.name)?.[kind].ttft.mean ?? NaN;
      const seconds = [ttft.mean, ttft.p50, ttft.p99].map((figure) => figure.toFixed(3));
      return [comparison.policy, kind, ...seconds, `${(100 * hitRate).toFixed(1)} %`, (ttft.mean / other).toFixed(2)];
    }),
  );
  return table(heads, rows);
}
