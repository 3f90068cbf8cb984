// One trace under one policy: the real control plane over a runtime in memory, on virtual time.
import { controlSettings, gatewaySettings } from "../../src/compose-settings.ts";
import { loadConfig } from "../../src/config.ts";
import type { ControlPlaneDeps } from "../../src/control/plane.ts";
import { FakeClock } from "../../test/support/clock.ts";
import { Rig } from "../../test/support/make-plane.ts";
import { makeGpus } from "../../test/support/make.ts";
import { Clients } from "./clients.ts";
import { Loads } from "./loads.ts";
import type { Policy } from "./policies.ts";
import type { Trace } from "./traces.ts";

/** What became of a trace under a policy. */
export interface Result {
  readonly trace: string;
  readonly policy: string;
  /** Replicas that were stopped for the sake of another model. */
  readonly swaps: number;
  readonly starts: number;
  readonly loadSeconds: number;
  readonly gpuLoadSeconds: number;
  /** Of those that were served, in seconds. */
  readonly wait: { readonly p50: number; readonly p95: number; readonly max: number };
  readonly served: number;
  readonly refused: number;
}

/** Between two looks whether everybody has been answered. */
const TAIL_STEP_MS = 60_000;
const STOP_MS = 2_000;

/** Resolves when every request of the trace was served or refused. */
export async function run(trace: Trace, policy: Policy): Promise<Result> {
  const settings = await defaults();
  const clock = new FakeClock({ turns: 1 });
  let swaps = 0;
  const rig = new Rig({
    recipes: trace.recipes,
    gpus: makeGpus(trace.gpus),
    clock,
    settings: { ...settings.control, ...(policy.keepsForEver ? { keepAliveMs: Infinity } : {}) },
    plan: (snapshot, now) => {
      const plan = policy.plan(snapshot, now);
      swaps += plan.actions.filter((action) => action.kind === "stop" && action.demand !== undefined).length;
      return plan;
    },
  });
  Object.assign(rig.world.pace, { stopMs: STOP_MS, logMs: TAIL_STEP_MS });
  const loads = new Loads(rig.world);
  const clients = new Clients({ clock, pool: rig.plane.pool, world: rig.world, ...settings.holds });
  clients.follow(trace.arrivals);
  await clock.advance(trace.durationMs);
  while (clients.open > 0) await clock.advance(TAIL_STEP_MS);
  const result = resultOf(trace, policy, { swaps, loads, clients });
  void rig.plane.stop();
  await clock.advance(TAIL_STEP_MS);
  if (rig.world.violations.length > 0)
    throw new Error(`${trace.name}, ${policy.name}: ${rig.world.violations.join("; ")}`);
  return result;
}

function resultOf(
  trace: Trace,
  policy: Policy,
  { swaps, loads, clients }: { readonly swaps: number; readonly loads: Loads; readonly clients: Clients },
): Result {
  const waits = clients.waitsMs.toSorted((a, b) => a - b);
  const quantile = (share: number) => (waits[Math.ceil(share * waits.length) - 1] ?? 0) / 1_000;
  return {
    trace: trace.name,
    policy: policy.name,
    swaps,
    starts: loads.count,
    loadSeconds: loads.seconds,
    gpuLoadSeconds: loads.gpuSeconds,
    wait: { p50: quantile(0.5), p95: quantile(0.95), max: quantile(1) },
    served: waits.length,
    refused: clients.refused,
  };
}

/** What a gateway without a configuration does. */
async function defaults(): Promise<{
  readonly control: Partial<NonNullable<ControlPlaneDeps["settings"]>>;
  readonly holds: { readonly maxHoldMs: number; readonly maxStreamHoldMs: number };
}> {
  const config = await loadConfig(undefined, {});
  const { keepAliveMs, keepAliveMaxMs, maxHoldMs, waiters, scheduling, scaling } = controlSettings(config);
  const { maxStreamHoldMs } = gatewaySettings(config);
  return {
    control: { keepAliveMs, keepAliveMaxMs, maxHoldMs, waiters, scheduling, scaling },
    holds: { maxHoldMs, maxStreamHoldMs },
  };
}
