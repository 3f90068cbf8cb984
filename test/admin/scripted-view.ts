// A control plane that does what the test says, for the admin API and the CLI.
import type {
  ControlView,
  GpuView,
  LaunchRequest,
  LaunchResult,
  ModelView,
  RecipeProblem,
  RecipeView,
  ReplicaView,
  RuntimeView,
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

export class ScriptedView implements ControlView {
  modelList: ModelView[] = [makeModel(), makeModel({ model: "org/big", aliases: ["big"] })];
  recipeList: RecipeView[] = [];
  problemList: RecipeProblem[] = [];
  replicaList: ReplicaView[] = [];
  gpuList: GpuView[] = [];
  runtimeList: RuntimeView[] = [];
  notReady: string[] = [];
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
    return { replica, created: true, reasons: ["demo is the only recipe"] };
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
