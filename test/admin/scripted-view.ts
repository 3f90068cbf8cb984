// A control plane that does what the test says, for the admin API and the CLI.
import type {
  CheckView,
  ControlView,
  ExplanationView,
  GpuView,
  LaunchRequest,
  LaunchResult,
  ModelView,
  PullView,
  RecipeProblem,
  RecipeView,
  ReplicaView,
  RuntimeView,
  ShowView,
  StatsView,
  StopRequest,
} from "../../src/admin/view.ts";
import { AimError } from "../../src/errors.ts";

type LogOptions = Parameters<ControlView["logs"]>[1];

export function makeReplica(overrides: Partial<ReplicaView> = {}): ReplicaView {
  return {
    name: "demo-1",
    model: "demo",
    recipe: "demo",
    profile: "0_gpu",
    runtime: "process",
    state: "ready",
    reason: "",
    gpus: [],
    inFlight: 0,
    startedAt: "2026-01-01T00:00:00.000Z",
    ...overrides,
  };
}

export function makeModel(overrides: Partial<ModelView> = {}): ModelView {
  return {
    model: "demo",
    aliases: [],
    status: "cold",
    recipes: ["demo"],
    replicas: 0,
    inFlight: 0,
    waiting: 0,
    ...overrides,
  };
}

export function makeGpu(overrides: Partial<GpuView> = {}): GpuView {
  return {
    id: "0000:01:00.0",
    number: 0,
    runtime: "docker",
    product: "MI300X",
    status: "free",
    memoryBytes: 192 * 2 ** 30,
    holders: [],
    ...overrides,
  };
}

export function makeExplanation(overrides: Partial<ExplanationView> = {}): ExplanationView {
  return {
    model: "demo",
    verdict: "starts",
    summary: "demo would start at once",
    recipe: "demo",
    profile: "0_gpu",
    runtime: "process",
    gpus: [],
    evicts: [],
    reasons: ["demo is the only recipe"],
    ...overrides,
  };
}

export function makeStats(overrides: Partial<StatsView> = {}): StatsView {
  return {
    replica: "demo-1",
    model: "demo",
    cpuSeconds: 12,
    memoryBytes: 2 ** 30,
    gpuMemoryTotalBytes: 0,
    inFlight: 0,
    time: "2026-01-01T00:00:00.000Z",
    ...overrides,
  };
}

/** A launch that had to start one. */
export function launched(...replicas: readonly [ReplicaView, ...ReplicaView[]]): LaunchResult {
  return { replica: replicas[0], replicas, created: true, reasons: ["demo is the only recipe"] };
}

export class ScriptedView implements ControlView {
  modelList: ModelView[] = [makeModel(), makeModel({ model: "org/big", aliases: ["big"] })];
  recipeList: RecipeView[] = [];
  problemList: RecipeProblem[] = [];
  replicaList: ReplicaView[] = [];
  gpuList: GpuView[] = [];
  runtimeList: RuntimeView[] = [];
  notReady: string[] = [];
  statsList: StatsView[] = [];
  checkList: CheckView[] = [];
  /** What `show` knows, by name. */
  readonly shown = new Map<string, ShowView>();
  readonly explained: LaunchRequest[] = [];
  readonly restarts: { readonly name: string; readonly options: StopRequest }[] = [];
  readonly pins: { readonly name: string; readonly pinned: boolean }[] = [];
  readonly removals: { readonly name: string; readonly options: StopRequest }[] = [];
  readonly pulls: string[] = [];
  readonly releases: string[] = [];
  /** Pulls that have neither come to their end nor been left. */
  openPulls = 0;
  /** Lines that `logs` begins with, by replica. */
  readonly logLines = new Map<string, string[]>();
  readonly launches: LaunchRequest[] = [];
  readonly stops: { readonly name: string; readonly options: StopRequest }[] = [];
  readonly logReads: { readonly name: string; readonly options: LogOptions }[] = [];
  /** Readers of a log that have neither come to its end nor left. */
  openLogs = 0;
  onLaunch: (request: LaunchRequest, signal: AbortSignal) => Promise<LaunchResult> = async () => {
    const replica = makeReplica({ state: "pending" });
    this.replicaList = [replica];
    return launched(replica);
  };
  onExplain: (request: LaunchRequest) => ExplanationView = ({ model }) => makeExplanation({ model });
  onRestart: (name: string) => Promise<LaunchResult> = async (name) =>
    launched(makeReplica({ name, state: "pending" }));
  onRemove: (name: string) => Promise<readonly string[]> = async (name) => [name];
  onPull: (name: string, signal: AbortSignal) => AsyncIterable<PullView> = async function* (name) {
    yield { kind: "progress", image: name, doneBytes: 1, totalBytes: 2, layers: [] };
    yield { kind: "done", image: name };
  };
  /** What a following reader of the log gets after the first lines. */
  onFollow: (signal: AbortSignal) => AsyncIterable<string> = async function* () {};

  models = () => this.modelList;
  recipes = () => ({ recipes: this.recipeList, problems: this.problemList });
  replicas = () => this.replicaList;
  gpus = () => this.gpuList;
  runtimes = () => this.runtimeList;
  problems = () => this.notReady;

  async launch(request: LaunchRequest, signal: AbortSignal): Promise<LaunchResult> {
    this.launches.push(request);
    return this.onLaunch(request, signal);
  }

  async stop(name: string, options: StopRequest): Promise<readonly ReplicaView[]> {
    this.stops.push({ name, options });
    const stopped = this.replicaList.filter((replica) => replica.name === name || replica.model === name);
    const known = this.modelList.some((model) => model.model === name || model.aliases.includes(name));
    if (stopped.length === 0 && !known) throw new AimError("replica_not_found", `there is no replica or model ${name}`);
    this.replicaList = this.replicaList.filter((replica) => !stopped.includes(replica));
    return stopped;
  }

  explain(request: LaunchRequest): ExplanationView {
    this.explained.push(request);
    return this.onExplain(request);
  }

  async restart(name: string, options: StopRequest): Promise<LaunchResult> {
    this.restarts.push({ name, options });
    return this.onRestart(name);
  }

  pin(name: string, pinned: boolean): readonly ReplicaView[] {
    this.pins.push({ name, pinned });
    const found = this.replicaList.filter((replica) => replica.name === name || replica.model === name);
    if (found.length === 0) throw new AimError("replica_not_found", `${name} is not running`);
    return found;
  }

  async remove(name: string, options: StopRequest): Promise<readonly string[]> {
    this.removals.push({ name, options });
    return this.onRemove(name);
  }

  async *pull(name: string, signal: AbortSignal): AsyncGenerator<PullView> {
    this.pulls.push(name);
    this.openPulls++;
    try {
      yield* this.onPull(name, signal);
    } finally {
      this.openPulls--;
    }
  }

  stats = async () => this.statsList;
  examine = async () => this.checkList;

  show(name: string): ShowView {
    const found = this.shown.get(name);
    if (found === undefined) throw new AimError("replica_not_found", `there is no replica or model ${name}`);
    return found;
  }

  releaseGpu(id: string): GpuView {
    this.releases.push(id);
    const found = this.gpuList.find((gpu) => gpu.id === id || String(gpu.number) === id);
    if (found === undefined) throw new AimError("invalid_value", `there is no GPU ${id}`, { param: "id" });
    return found;
  }

  async *logs(name: string, options: LogOptions, signal: AbortSignal): AsyncGenerator<{ text: string }> {
    this.logReads.push({ name, options });
    const lines = this.logLines.get(name);
    if (lines === undefined) throw new AimError("replica_not_found", `there is no replica ${name}`);
    this.openLogs++;
    try {
      for (const text of options.tail === 0 ? [] : lines.slice(-options.tail)) yield { text };
      if (!options.follow) return;
      for await (const text of this.onFollow(signal)) yield { text };
    } finally {
      this.openLogs--;
    }
  }
}
