// A runtime that exists only in memory: what "runs" in it outlives the driver objects, as containers outlive a gateway.
// It notes what must never happen (a GPU in two replicas at once, a stop of a replica that serves) besides what does.
import { createServer, type Server } from "node:http";
import { LABELS, type LaunchSpec } from "../../src/catalog/launch-spec.ts";
import { systemClock, type Clock } from "../../src/lib/clock.ts";
import type {
  BackendRef,
  Check,
  Gpu,
  Hint,
  ObservedReplica,
  PullProgress,
  ReplicaExit,
} from "../../src/runtime/driver.ts";
import { FakeDriver } from "./fake-driver.ts";
import { FakeMemory } from "./fake-memory.ts";
import { FakeSleep, type Rest } from "./fake-sleep.ts";

export interface WorldOptions {
  readonly clock?: Clock;
  readonly gpus?: readonly Gpu[];
  /** Show how much of each GPU's memory is in use; what a replica leaves stays in use for `pace.releaseMs`. */
  readonly memory?: boolean;
  /** Give each replica a real HTTP server, for the driver contract. */
  readonly serve?: boolean;
}

/** How long things take, in ms; change it at any time. */
export interface Pace {
  createMs: number;
  loadMs: number;
  stopMs: number;
  /** From the end of a replica until the memory of its GPUs is free. */
  releaseMs: number;
  /** Between two looks of those who follow a log. */
  logMs: number;
  /** From a look at what there is until whoever asked gets to see it. */
  answerMs: number;
}

/** The work is done, and whoever asked for it hears so much later that nothing is known of it. */
export interface LostAnswer {
  readonly call: "start" | "stop" | "list";
  readonly afterMs: number;
}

export interface FakeContainer {
  readonly ref: BackendRef;
  readonly spec: LaunchSpec;
  state: ObservedReplica["state"];
  readonly startedAtWall: number;
  loadedAt: number;
  /** Says that it is ready, takes requests and never answers them. */
  isDeaf: boolean;
  rest: Rest;
  /** When it last fell asleep. */
  asleepSince: number;
  address: URL;
  exit: ReplicaExit | undefined;
  readonly lines: string[];
  /** Of each request that it serves, whom to tell when nothing of it answers any more. */
  readonly requests: Set<(error: Error) => void>;
  server?: Server;
}

export class FakeWorld {
  readonly clock: Clock;
  /** As the next inventory shows them. */
  gpus: readonly Gpu[];
  readonly serve: boolean;
  readonly pace: Pace = { createMs: 100, loadMs: 1000, stopMs: 200, releaseMs: 0, logMs: 20, answerMs: 0 };
  readonly sleep = new FakeSleep(this);
  readonly #hasMemory: boolean;
  readonly memory = new FakeMemory(this);
  readonly containers = new Map<string, FakeContainer>();
  /** Those that are gone, by id: their output is kept. */
  readonly past = new Map<string, FakeContainer>();
  /** Ids of those that a driver has stopped and removed. */
  readonly stopped = new Set<string>();
  /** Names of replicas in the order of their starts. */
  readonly starts: string[] = [];
  /** What must never happen, as sentences. */
  readonly violations: string[] = [];
  /** Containers that may be stopped while they serve, since somebody insisted; forgotten with the container. */
  readonly condemned = new Set<string>();
  /** Called with each start that a driver is asked for, whatever becomes of it. */
  onAttempt: (spec: LaunchSpec) => void = () => {};
  /** What a pull does; nothing, at once, unless a test says otherwise. */
  onPull: (image: string, observe: (progress: PullProgress) => void, signal: AbortSignal) => Promise<void> =
    async () => {};
  /** What a start does about its image; it is there already, unless a test says otherwise. */
  onImage: (observe: (progress: PullProgress) => void, signal: AbortSignal) => Promise<void> = async () => {};
  /** What the driver finds when it examines its machine. */
  checks: readonly Check[] = [];
  /** Called when a container runs and its driver has not said so yet. */
  onRunning: (container: FakeContainer) => void = () => {};
  /** While set, every call of a driver is rejected with it. */
  outage: Error | undefined;
  /** While set, no call of a driver is ever answered. */
  isMute = false;
  /** Taken from the front by each start; the start is rejected with it. */
  readonly startFaults: Error[] = [];
  /** Taken from the front by each stop. */
  readonly stopFaults: Error[] = [];
  /** Each is lost once. */
  readonly lostAnswers: LostAnswer[] = [];
  /** How much of a GPU's memory somebody else uses; undefined: that cannot be read. */
  readonly strangers = new Map<string, number | undefined>();
  /** Replicas that no stop ends. */
  readonly unkillable = new Set<string>();
  readonly #watchers = new Set<(hint: Hint) => void>();
  #nextId = 1;

  constructor(options: WorldOptions = {}) {
    this.clock = options.clock ?? systemClock;
    this.gpus = options.gpus ?? [];
    this.#hasMemory = options.memory ?? false;
    this.serve = options.serve ?? false;
  }

  driver(installation = "test"): FakeDriver {
    return new FakeDriver(this, installation);
  }

  watch(watcher: (hint: Hint) => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  hint(hint: Hint = { kind: "changed" }): void {
    for (const watcher of this.#watchers) watcher(hint);
  }

  inventory(): readonly Gpu[] {
    if (!this.#hasMemory) return this.gpus;
    return this.gpus.map((gpu) => {
      const isHidden = this.strangers.has(gpu.id) && this.strangers.get(gpu.id) === undefined;
      return isHidden ? gpu : { ...gpu, usedBytes: gpu.memoryBytes * this.memory.usedShare(gpu.id) };
    });
  }

  /** As if so much of a GPU's memory were in use now. */
  use(gpu: string, usedBytes: number): void {
    this.gpus = this.gpus.map((one) => (one.id === gpu ? { ...one, usedBytes } : one));
  }

  /** Brings a container into being; it counts as running at once and as loaded after its load time. */
  async run(spec: LaunchSpec): Promise<FakeContainer> {
    this.memory.noteDoubleUse(spec);
    const id = `fake-${this.#nextId++}`;
    const loadSeconds = spec.env["AIM_SIM_LOAD_SECONDS"];
    const loadMs = loadSeconds === undefined ? this.pace.loadMs : Number(loadSeconds) * 1000;
    const container: FakeContainer = {
      ref: { id, name: spec.replica },
      spec,
      state: "running",
      startedAtWall: this.clock.wallNow(),
      loadedAt: this.clock.now() + loadMs,
      rest: "awake",
      asleepSince: Infinity,
      address: new URL(`http://${id}.invalid:8000`),
      isDeaf: false,
      exit: undefined,
      lines: ["starting", "loading", "nearly there", "still nearly there"],
      requests: new Set(),
    };
    if (this.serve) await this.#openServer(container);
    this.containers.set(spec.replica, container);
    this.starts.push(spec.replica);
    this.hint();
    return container;
  }

  /** It ends by itself, or an operator ends it; its remains are listed until they are removed. */
  exit(name: string, exit: ReplicaExit): void {
    const container = this.containers.get(name);
    if (container === undefined || !isAlive(container)) return;
    container.state = "exited";
    container.exit = exit;
    this.#end(container);
  }

  /** `docker rm -f` */
  remove(name: string): void {
    const container = this.containers.get(name);
    if (container === undefined) return;
    this.containers.delete(name);
    this.past.set(container.ref.id, container);
    this.condemned.delete(name);
    if (isAlive(container)) this.#end(container);
    else this.hint();
  }

  /** `docker pause` and `docker unpause` */
  set(name: string, state: "unresponsive" | "running" | "created"): void {
    const container = this.containers.get(name);
    if (container === undefined || container.state === "exited" || container.state === state) return;
    container.state = state;
    this.hint();
  }

  /** The container behind an address, as long as something listens there. */
  at(address: URL): FakeContainer | undefined {
    for (const one of this.containers.values())
      if (one.address.href === address.href && one.state !== "exited") return one;
    return undefined;
  }

  isLoaded(address: URL): boolean {
    return this.loadsFor(address) <= 0;
  }

  /** How long its load still takes if nothing happens to it; Infinity: it answers nobody. */
  loadsFor(address: URL): number {
    const container = this.at(address);
    return container?.state === "running" ? container.loadedAt - this.clock.now() : Infinity;
  }

  /** From now on it answers nobody for so long. */
  hang(container: FakeContainer, forMs: number): void {
    container.loadedAt = this.clock.now() + forMs;
    this.hint();
  }

  /** How the answer to this call is lost; undefined when it is not. */
  loses(call: LostAnswer["call"]): LostAnswer | undefined {
    const at = this.lostAnswers.findIndex((lost) => lost.call === call);
    return at < 0 ? undefined : this.lostAnswers.splice(at, 1)[0];
  }

  noteStop({ spec, requests, isDeaf }: FakeContainer): void {
    if (requests.size > 0 && !isDeaf && !this.condemned.has(spec.replica))
      this.violations.push(`${spec.replica} was stopped while it served ${requests.size} requests`);
  }

  #end(container: FakeContainer): void {
    container.server?.closeAllConnections();
    container.server?.close();
    if (this.#hasMemory) this.memory.leave(container);
    const error = new Error(`${container.ref.name} has ended`);
    for (const lose of container.requests) lose(error);
    this.hint();
  }

  async #openServer(container: FakeContainer): Promise<void> {
    const server = createServer((request, response) => {
      if (this.clock.now() < container.loadedAt) {
        request.socket.destroy();
        return;
      }
      const flag = container.spec.argv.indexOf("--served-model-name");
      const id = flag < 0 ? container.spec.labels[LABELS.model] : container.spec.argv[flag + 1];
      response.end(request.url === "/v1/models" ? JSON.stringify({ object: "list", data: [{ id }] }) : "");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const bound = server.address();
    if (bound === null || typeof bound === "string") throw new Error("the server has no port");
    container.address = new URL(`http://127.0.0.1:${bound.port}`);
    container.server = server;
  }
}

/** It holds what it was given. */
export function isAlive({ state }: FakeContainer): boolean {
  return state === "running" || state === "unresponsive";
}
