// The control plane, wired: fleet, planner loop, launcher, reaper and one reconciler per runtime. Tests and simulations
// wire the same parts, with other drivers and another clock.
import type { Catalog } from "../catalog/catalog.ts";
import type { BalanceName, RuntimeName } from "../catalog/recipe.ts";
import type { Clock } from "../lib/clock.ts";
import { runAll } from "../lib/run-all.ts";
import type { RuntimeDriver } from "../runtime/driver.ts";
import type { EventLog } from "../telemetry/events.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { Autoscaler, startAutoscaler } from "./autoscale.ts";
import { Router } from "./balance/router.ts";
import { Controller, type ControllerDeps } from "./controller.ts";
import { Estimates, type EstimateStore } from "./launcher/estimates.ts";
import { Fleet } from "./fleet.ts";
import type { Lender } from "./fleet/lending.ts";
import type { FleetSettings } from "./fleet/fleet-deps.ts";
import { Journal } from "./journal.ts";
import { Launcher, type LauncherDeps } from "./launcher.ts";
import { createOperations, type OperationSettings, type Operations } from "./operations.ts";
import { plan } from "./planner.ts";
import { FleetPool } from "./pool.ts";
import { Prospects } from "./prospects.ts";
import { Reaper } from "./reaper.ts";
import type { Replica } from "./replica.ts";
import { Sleeper, type SleeperDeps } from "./sleeper.ts";
import { startReconciler, type ReconcilerDeps, type RunningReconciler } from "./reconciler.ts";
import { Status } from "./operations/status.ts";
import { startWatchdog, type WatchdogDeps } from "./watchdog.ts";

export interface ControlPlaneDeps {
  readonly clock: Clock;
  readonly catalog: Catalog;
  readonly drivers: ReadonlyMap<RuntimeName, RuntimeDriver>;
  readonly events: EventLog;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** What only runtimes know: whether a replica answers, and what its log lines mean. */
  readonly engines: Pick<LauncherDeps, "awaitReady" | "isAsleep" | "parseProgress" | "diagnose" | "generates"> &
    Pick<SleeperDeps, "fallAsleep" | "wakeUp"> &
    Pick<ReconcilerDeps, "answers"> &
    Pick<WatchdogDeps, "loadOf">;
  /** Where other threads give out slots of replicas; absent: nowhere. */
  readonly lender?: Lender & Pick<Router, "cacheHolds">;
  /** Where what is learned of starts outlives the gateway; absent: nowhere. */
  readonly estimateStore?: EstimateStore;
  readonly settings: ControlPlaneSettings;
  /** Another way to decide, to compare with; the planner when absent. */
  readonly plan?: ControllerDeps["plan"];
}

export interface ControlPlaneSettings extends FleetSettings, OperationSettings {
  /** Pause between two full lists of a runtime. */
  readonly reconcileEveryMs: number;
  /** Which replica of a model a request goes to, where the recipe does not say. */
  readonly balance: BalanceName;
  /** Windows over which it is judged whether a model needs more replicas, or fewer. */
  readonly scaling: { readonly upMs: number; readonly downMs: number };
  /** How long an engine may have work and do none; Infinity: for ever. */
  readonly progressMs: number;
  /** Runtimes whose replicas outlive the gateway. */
  readonly keepOnExit: ReadonlySet<RuntimeName>;
}

export interface ControlPlane extends Operations {
  readonly fleet: Fleet;
  readonly pool: FleetPool;
  readonly status: Status;
  readonly router: Router;
  /** Resolves when every runtime was asked once what it has and what runs there. */
  readonly surveyed: Promise<unknown>;
  /** Takes down what is not to be kept, ends every loop and effect, and lets go of the drivers. */
  stop(): Promise<void>;
}

/** What a runtime needs to kill and remove a replica that has used up its grace. */
const KILL_MS = 5_000;

/** Starts at once: the first thing it does is to look for replicas that already run. */
export function startControlPlane(deps: ControlPlaneDeps): ControlPlane {
  const { clock, catalog, drivers, events, metrics, logger, engines, settings } = deps;
  const journal = new Journal({ clock, events, metrics, logger });
  const estimates = new Estimates({
    clock,
    store: deps.estimateStore,
    onProblem: (problem, error) => logger.warn({ err: error }, problem),
  });
  const autoscaler = new Autoscaler(clock, settings.scaling);
  const router = new Router({ clock, balance: settings.balance });
  const fleet = createFleet(deps, {
    journal,
    router,
    estimates,
    autoscaler,
    retryAfterMs: (model) => pool.retryAfterMs(model),
  });
  const prospects = new Prospects({ fleet, estimates, clock });
  const pool = new FleetPool(fleet, prospects);
  const { defaultRuntime } = settings;
  const status = new Status({ fleet, router, catalog, clock, estimates, prospects, defaultRuntime });
  const { launcher, ...effects } = createEffects(deps, { fleet, journal, estimates });
  const decide = deps.plan ?? plan;
  const controller = new Controller({ clock, fleet, launcher, ...effects, journal, logger, plan: decide });
  const reconcilers = startReconcilers(deps, { fleet, journal, controller });
  controller.supervise(reconcilers);
  const scaling = startAutoscaler(autoscaler, fleet, { clock, logger });
  const watchdog = startWatchdog({
    clock,
    fleet,
    router: deps.lender === undefined ? router : both(router, deps.lender),
    logger,
    limitMs: settings.progressMs,
    loadOf: (address, signal) => engines.loadOf(address, signal),
    generates: (address, model, signal) => engines.generates(address, model, signal),
    onStalled: (replica, silentMs) => launcher.stalled(replica, silentMs),
  });
  const keep = (replica: Replica) => settings.keepOnExit.has(replica.identity.runtime);
  return {
    fleet,
    pool,
    status,
    router,
    surveyed: Promise.all([...reconcilers.values()].map((reconciler) => reconciler.surveyed)),
    ...createOperations({ fleet, catalog, status, drivers, clock, settings }),
    stop: () =>
      runAll([
        () => launcher.close(),
        () => watchdog.stop(),
        () => scaling.stop(),
        () => controller.stop({ keep, graceMs: settings.launch.stopGraceMs + KILL_MS }),
        () => estimates.close(),
        () => tellOfKept(fleet.replicas.all(), logger),
        ...[...drivers.values()].map((driver) => () => driver.close()),
      ]),
  };
}

interface FleetTools {
  readonly journal: Journal;
  readonly router: Router;
  readonly estimates: Estimates;
  readonly autoscaler: Autoscaler;
  retryAfterMs(model: string): number;
}

function createFleet(
  { clock, catalog, settings, drivers, lender }: ControlPlaneDeps,
  { estimates, autoscaler, ...tools }: FleetTools,
): Fleet {
  const usualLoadMs = (replica: Replica) => estimates.usualLoadMs(replica);
  const scale = () => autoscaler.targets;
  const fleet = new Fleet({ clock, recipes: catalog, settings, ...tools, usualLoadMs, scale, lender });
  for (const { name, placement } of drivers.values()) {
    fleet.machines.set(name, { known: false, placement, gpus: [] });
  }
  return fleet;
}

/** Whoever chooses between replicas hears what their caches hold. */
function both(...choosers: readonly Pick<Router, "cacheHolds">[]): Pick<Router, "cacheHolds"> {
  return {
    cacheHolds(replica, tokens) {
      for (const chooser of choosers) chooser.cacheHolds(replica, tokens);
    },
  };
}

/** What is done to replicas: each part does one thing, when the controller says so. */
function createEffects(
  { clock, drivers, engines, logger, settings }: ControlPlaneDeps,
  { fleet, journal, estimates }: { readonly fleet: Fleet } & Pick<FleetTools, "journal" | "estimates">,
): Pick<ControllerDeps, "launcher" | "reaper" | "sleeper"> {
  const { installation, launch: defaults } = settings;
  const sleeper: Sleeper = new Sleeper({
    clock,
    fleet,
    drivers,
    ...engines,
    onWoken: (replica) => estimates.recordWake(replica),
    onFailed: (replica, end) => launcher.spoilt(replica, end),
  });
  const launcher: Launcher = new Launcher({
    clock,
    fleet,
    journal,
    drivers,
    installation,
    estimates,
    defaults,
    ...engines,
    napOf: (replica, signal) => sleeper.napOf(replica, signal),
  });
  const reaper = new Reaper({ clock, fleet, drivers, logger, stopGraceMs: defaults.stopGraceMs });
  return { launcher, reaper, sleeper };
}

function startReconcilers(
  { clock, drivers, logger, engines, settings }: ControlPlaneDeps,
  { controller, ...parts }: Pick<ReconcilerDeps, "fleet" | "journal"> & { readonly controller: Controller },
): ReadonlyMap<RuntimeName, RunningReconciler> {
  const start = (driver: RuntimeDriver) =>
    startReconciler({
      ...parts,
      driver,
      clock,
      logger,
      everyMs: settings.reconcileEveryMs,
      answers: engines.answers,
      onDied: (replica, exit, circumstances) => controller.died(replica, exit, circumstances),
      onOutOfMemory: (replica) => controller.outOfMemory(replica),
    });
  return new Map([...drivers.values()].map((driver) => [driver.name, start(driver)]));
}

/** Nobody should have to find out by himself what still holds GPUs. */
function tellOfKept(replicas: readonly Replica[], logger: Logger): void {
  if (replicas.length === 0) return;
  logger.info({ replicas: replicas.map(({ name }) => name) }, "left running; the next start takes them over");
}
