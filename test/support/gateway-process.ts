// The real gateway as a process of its own, which can be killed as a machine would kill it.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ModelView, ReplicaView } from "../../src/admin/view.ts";
import { until } from "./until.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");

export interface GatewayOptions {
  /** Text of config.yaml; `listen`, folders and `installation` are given. */
  readonly config?: string;
  /** Recipe files by name. */
  readonly recipes: Readonly<Record<string, string>>;
}

/** A home (configuration, recipes, state) that gateways can be started from, one after the other. */
export class GatewayHome {
  readonly installation: string;
  readonly folder: string;
  readonly #running = new Set<ChildProcess>();

  private constructor(folder: string, installation: string) {
    this.folder = folder;
    this.installation = installation;
  }

  static async make(options: GatewayOptions): Promise<GatewayHome> {
    const folder = await mkdtemp(join(tmpdir(), "aim-engine-e2e-"));
    const home = new GatewayHome(folder, `e2e-${process.pid}-${Math.random().toString(36).slice(2, 8)}`);
    await Promise.all(
      Object.entries(options.recipes).map(([name, text]) => writeFile(join(folder, `${name}.yaml`), text)),
    );
    const given = `listen: 127.0.0.1:0\ninstallation: ${home.installation}\nrecipes: .\nlogDir: logs\n`;
    await writeFile(join(folder, "engine.conf"), given + (options.config ?? ""));
    return home;
  }

  /** `preload`: a module that Node loads before it. */
  async start(options: { readonly preload?: string } = {}): Promise<Gateway> {
    const node = options.preload === undefined ? [] : ["--import", options.preload];
    const child = spawn(process.execPath, [...node, MAIN, "serve", "--config", join(this.folder, "engine.conf")], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { PATH: process.env["PATH"], HOME: process.env["HOME"] },
    });
    this.#running.add(child);
    child.once("exit", () => this.#running.delete(child));
    const gateway = new Gateway(child);
    await until(() => gateway.baseUrl, { timeoutMs: 15_000, what: "the gateway's address" });
    return gateway;
  }

  /** Ends what still runs and removes the folder. */
  async remove(): Promise<void> {
    for (const child of this.#running) child.kill("SIGKILL");
    await until(() => this.#running.size === 0, { what: "the end of the gateways" });
    await rm(this.folder, { recursive: true, force: true });
  }
}

export class Gateway {
  readonly child: ChildProcess;
  readonly lines: Readonly<Record<string, unknown>>[] = [];
  /** Lines that were no JSON. */
  readonly noise: string[] = [];
  #rest = "";

  constructor(child: ChildProcess) {
    this.child = child;
    child.stdout?.setEncoding("utf8").on("data", (text: string) => this.#read(text));
  }

  get baseUrl(): string | undefined {
    const url = this.lines.find((line) => line["msg"] === "listening")?.["url"];
    return typeof url === "string" ? url.replace(/\/$/, "") : undefined;
  }

  get url(): string {
    if (this.baseUrl === undefined) throw new Error("the gateway does not listen yet");
    return this.baseUrl;
  }

  async get<T>(path: string): Promise<T> {
    const response = await fetch(`${this.url}${path}`);
    // The shapes of the admin API are checked in its own tests.
    return (await response.json()) as T;
  }

  async replicas(): Promise<readonly ReplicaView[]> {
    return (await this.get<{ replicas: readonly ReplicaView[] }>("/api/replicas")).replicas;
  }

  async models(): Promise<readonly ModelView[]> {
    return (await this.get<{ models: readonly ModelView[] }>("/api/models")).models;
  }

  chat(body: Readonly<Record<string, unknown>>, init: RequestInit = {}): Promise<Response> {
    const messages = [{ role: "user", content: "Hello" }];
    return fetch(`${this.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ messages, ...body }),
      ...init,
    });
  }

  /** As a crash or the OOM killer would. */
  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.#ended();
  }

  /** As an operator would. */
  async stop(): Promise<number | null> {
    this.child.kill("SIGTERM");
    await this.#ended();
    return this.child.exitCode;
  }

  async #ended(): Promise<void> {
    const isOver = () => this.child.exitCode !== null || this.child.signalCode !== null;
    await until(isOver, { timeoutMs: 60_000, what: "the end of the gateway" });
  }

  #read(text: string): void {
    const parts = (this.#rest + text).split("\n");
    this.#rest = parts.pop() ?? "";
    for (const part of parts) {
      try {
        this.lines.push(JSON.parse(part));
      } catch {
        this.noise.push(part);
      }
    }
  }
}
