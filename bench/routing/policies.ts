// The ways to choose a replica that are compared.
import {
  type Ask as Wish,
  type Balancer,
  type Candidate,
  leastInFlight,
  leastQueuedTokens,
  predictedTtft,
  roundRobin,
} from "../../src/control/balance/balancer.ts";
import type { Seeded } from "../../test/simulation/seeded.ts";
import { chwbl } from "./policies/chwbl.ts";
import { leastOf } from "./policies/least-of.ts";
import { sglang } from "./policies/sglang.ts";
import type { VirtualReplica } from "./replica.ts";
import type { Speed } from "./speed.ts";
import type { Ask } from "./workload.ts";

/** One choice to make. */
export interface View {
  readonly ask: Ask;
  /** What the gateway knows of the request and of the replicas, as the balancers of the gateway get it. */
  readonly wish: Wish;
  readonly candidates: readonly Candidate[];
  /** As they really are: nobody but an oracle may look. */
  readonly replicas: readonly VirtualReplica[];
}

/** The index of the replica that gets the request. */
export type Choice = (view: View) => number;

export interface PolicyOptions {
  readonly replicas: number;
  readonly speed: Speed;
  readonly random: Seeded;
}

export interface Policy {
  readonly name: string;
  /** One sentence. */
  readonly about: string;
  make(options: PolicyOptions): Choice;
}

/** What the gateway does unless told otherwise. */
export const OURS: Policy = {
  name: "predicted-ttft",
  about: "the gateway's default",
  make: () => asked(predictedTtft),
};

export const ORACLE: Policy = {
  name: "oracle",
  about:
    "the soonest first token for this request, with full knowledge of every queue and cache, now and when its turn comes",
  make:
    () =>
    ({ ask, candidates, replicas }) =>
      leastOf(candidates, (_, index) => replicas[index]?.trueWaitMs(ask, ask.atMs) ?? Infinity),
};

export const ROUND_ROBIN: Policy = { name: "round-robin", about: "the gateway's", make: () => asked(roundRobin) };

export const LEAST_IN_FLIGHT: Policy = {
  name: "least-in-flight",
  about: "the gateway's",
  make: () => asked(leastInFlight),
};

/** In the order of the report. */
export const POLICIES: readonly Policy[] = [
  {
    name: "random",
    about: "any replica",
    make:
      ({ random }) =>
      ({ candidates }) =>
        random.upTo(candidates.length - 1),
  },
  ROUND_ROBIN,
  LEAST_IN_FLIGHT,
  { name: "least-queued-tokens", about: "the gateway's", make: () => asked(leastQueuedTokens) },
  { name: "chwbl-1", about: "consistent hashing with bounded loads over the first block", make: chwbl(1) },
  { name: "chwbl-4", about: "the same over the first four blocks", make: chwbl(4) },
  {
    name: "sglang",
    about: "SGLang's: the longest match over 0.3, else the least tree; the least load when unbalanced",
    make: sglang,
  },
  {
    name: "lmetric",
    about: "new and queued prefill tokens times the batch, after LMetric",
    make:
      () =>
      ({ candidates, wish }) =>
        leastOf(candidates, ({ queuedTokens, inFlight }, index) => {
          const own = wish.tokens - (wish.cachedTokens[index] ?? 0);
          return (queuedTokens + own) * (inFlight + 1);
        }),
  },
  {
    name: "ttft-alone",
    about: "the soonest predicted first token, whatever that does to others",
    make:
      () =>
      ({ candidates, wish }) =>
        leastOf(candidates, ({ queuedTokens, rate }, index) => {
          return (queuedTokens + wish.tokens - (wish.cachedTokens[index] ?? 0)) / rate;
        }),
  },
  OURS,
  ORACLE,
];

function asked(balancer: Balancer): Choice {
  return ({ candidates, wish }) => balancer(candidates, wish);
}
