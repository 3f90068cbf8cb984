// A real gateway on a Docker Engine that is about to misbehave, and what is needed to see what becomes of it.
import Docker from "dockerode";
import { LABELS } from "../../src/catalog/launch-spec.ts";
import type { ModelView, ReplicaView, RuntimeView } from "../../src/admin/view.ts";
import { SOCKET } from "./docker.ts";
import { GatewayHome, type Gateway } from "./gateway-process.ts";
import { ensureStandInImage } from "./stand-in-image.ts";
import { until } from "./until.ts";

export const IMAGE = "aim-engine-stand-in:test";

/** A recipe of the simulated engine in a container. `more` are further lines of it. */
export function simRecipe(model: string, knobs: Readonly<Record<string, string | number>> = {}, more = ""): string {
  const env = Object.entries({ LOAD_SECONDS: 0.2, ...knobs }).map(([name, value]) => `AIM_SIM_${name}: "${value}"`);
  const profiles = more.includes("profiles:") ? "" : "profiles: { 0_gpu: {} }\n";
  return `model: ${model}\nengine: vllm\nimage: ${IMAGE}\nenv: { ${env.join(", ")} }\n${profiles}${more}`;
}

export interface FaultRigOptions {
  /** What the gateway is told: the daemon's socket, or one in front of it. */
  readonly socketPath: string;
  /** To look at the engine past whatever stands between; `socketPath` unless given. */
  readonly docker?: Docker;
  readonly recipes: Readonly<Record<string, string>>;
  /** Lines of config.yaml beside `docker`. */
  readonly config?: string;
  /** Keys of `docker` in config.yaml, as "name: value". */
  readonly dockerConfig?: readonly string[];
}

export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly retryAfter: number | undefined;
  /** Whether SDKs are told that the same request may go well later. */
  readonly mayRetry: boolean;
  readonly ms: number;
}

export class FaultRig {
  readonly docker: Docker;
  readonly home: GatewayHome;
  #gateway: Gateway | undefined;

  private constructor(docker: Docker, home: GatewayHome) {
    this.docker = docker;
    this.home = home;
  }

  /** Its gateway is to be started. */
  static async make(options: FaultRigOptions): Promise<FaultRig> {
    const { socketPath, recipes, config = "", dockerConfig = [] } = options;
    const keys = [`socket: ${JSON.stringify(socketPath)}`, "cache: none", ...dockerConfig].join(", ");
    const home = await GatewayHome.make({ recipes, config: `docker: { ${keys} }\n${config}` });
    return new FaultRig(options.docker ?? new Docker({ socketPath }), home);
  }

  /** Of the engine that everybody shares. */
  static async onSharedEngine(options: FaultRigOptions): Promise<FaultRig> {
    await ensureStandInImage({ tags: [IMAGE] });
    return FaultRig.make({ docker: new Docker({ socketPath: SOCKET }), ...options });
  }

  async start(): Promise<Gateway> {
    this.#gateway = await this.home.start();
    return this.#gateway;
  }

  get gateway(): Gateway {
    if (this.#gateway === undefined) throw new Error("the gateway was not started");
    return this.#gateway;
  }

  /** One short request, read to its end. */
  async ask(model: string, body: Readonly<Record<string, unknown>> = {}): Promise<Answer> {
    const askedAt = performance.now();
    const response = await this.gateway.chat({ model, max_tokens: 3, ...body });
    const text = await response.text();
    const retryAfter = response.headers.get("retry-after");
    return {
      status: response.status,
      text,
      retryAfter: retryAfter === null ? undefined : Number(retryAfter),
      mayRetry: response.headers.get("x-should-retry") !== "false",
      ms: performance.now() - askedAt,
    };
  }

  /** A stream of `tokens`, read as it comes. Resolves with the head of the answer. */
  async stream(model: string, tokens: number): Promise<OpenStream> {
    return new OpenStream(
      await this.gateway.chat({ model, stream: true, max_tokens: tokens, ignore_eos: true, min_tokens: tokens }),
    );
  }

  containers(): Promise<readonly Docker.ContainerInfo[]> {
    const label = `${LABELS.installation}=${this.home.installation}`;
    return this.docker.listContainers({ all: true, filters: { label: [label] } });
  }

  async replicasOf(model: string): Promise<readonly ReplicaView[]> {
    return (await this.gateway.replicas()).filter((one) => one.model === model);
  }

  async model(model: string): Promise<ModelView> {
    const found = (await this.gateway.models()).find((one) => one.model === model);
    if (found === undefined) throw new Error(`the gateway knows no model ${model}`);
    return found;
  }

  /** What the gateway makes of its way to Docker. */
  async runtime(): Promise<RuntimeView> {
    const { runtimes } = await this.gateway.get<{ runtimes: readonly RuntimeView[] }>("/api/runtimes");
    const docker = runtimes.find(({ name }) => name === "docker");
    if (docker === undefined) throw new Error("the gateway has no runtime docker");
    return docker;
  }

  /** Whether it takes itself for able to serve, and what it says about that to everybody. */
  async readiness(): Promise<{ readonly status: number; readonly text: string }> {
    const response = await fetch(`${this.gateway.url}/health/ready`);
    return { status: response.status, text: await response.text() };
  }

  /** The first replica of the model that is in this state. */
  untilState(model: string, state: string, timeoutMs = 20_000): Promise<ReplicaView> {
    const find = async () => (await this.replicasOf(model)).find((one) => one.state === state);
    return until(find, { timeoutMs, what: `${model} ${state}` });
  }

  /** The states that replicas of the model went into, in that order: "pending", "ready", … */
  history(model: string): readonly string[] {
    return this.gateway.lines
      .filter((line) => line["msg"] === "replica changed state" && line["model"] === model)
      .map((line) => String(line["to"]));
  }

  /** How often a replica of the model was started. */
  starts(model: string): number {
    return this.history(model).filter((state) => state === "pending").length;
  }

  /** What the gateway said of failures of the model's replicas: their causes. */
  failures(model: string): readonly string[] {
    return this.gateway.lines
      .filter((line) => line["msg"] === "replica failed" && line["model"] === model)
      .map((line) => String(line["cause"]));
  }

  act(method: string, path: string, body?: object): Promise<Response> {
    return fetch(`${this.gateway.url}${path}`, {
      method,
      headers: { "content-type": "application/json" },
      signal: AbortSignal.timeout(30_000),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }

  /** Ends the gateway, and removes its containers where the engine can be reached. */
  async remove(): Promise<void> {
    await this.home.remove();
    const left = await this.containers().catch(() => []);
    // One that is paused by hand, or just being removed, is none of our business here.
    await Promise.allSettled(left.map(({ Id }) => this.docker.getContainer(Id).remove({ force: true, v: true })));
  }
}

/** A streamed answer that is being read. */
export class OpenStream {
  readonly status: number;
  /** Resolves with the whole text, however it ended. */
  readonly ended: Promise<string>;
  #text = "";

  constructor(response: Response) {
    this.status = response.status;
    this.ended = this.#read(response);
  }

  get text(): string {
    return this.#text;
  }

  /** Events so far that carry a token. */
  get tokens(): number {
    return this.#text.split("\n").filter((line) => line.includes('"delta":{"content"')).length;
  }

  /** Waits until at least so many more tokens have come. */
  async moves(by = 3, timeoutMs = 10_000): Promise<void> {
    const before = this.tokens;
    await until(() => this.tokens >= before + by, { timeoutMs, what: `${by} more tokens of a stream` });
  }

  async #read(response: Response): Promise<string> {
    const decoder = new TextDecoder();
    try {
      for await (const chunk of response.body ?? []) this.#text += decoder.decode(chunk, { stream: true });
    } catch {
      // Cut: what was read until then is the answer to look at.
    }
    return this.#text;
  }
}
