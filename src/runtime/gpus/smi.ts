// Asking the vendors' command line tools, for what the kernel's files do not tell: rarely, with a limit, and not again soon.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { codeOf } from "../../errors.ts";
import type { Clock } from "../../lib/clock.ts";
import { formatDuration } from "../../lib/units.ts";
import { parseAmdSmi } from "./amd-smi.ts";
import { NVIDIA_QUERY, parseNvidiaSmi } from "./nvidia-smi.ts";
import { parseRocmSmi } from "./rocm-smi.ts";
import type { ToldGpu } from "./told.ts";

export type Told =
  | { readonly kind: "gpus"; readonly gpus: readonly ToldGpu[] }
  /** "nvidia-smi is not installed" */
  | { readonly kind: "failed"; readonly reason: string };

export interface SmiOptions {
  readonly clock: Clock;
  /** How long a program may take. */
  readonly timeoutMs?: number;
}

/** How long an answer counts: GPUs may be asked for every second, and a tool that fails will fail again. */
const KEPT_MS = { gpus: 2_000, failed: 60_000 } as const;
const TIMEOUT_MS = 10_000;
const MAX_OUTPUT = 4 * 2 ** 20;
const ROCM_ARGS = ["--showbus", "--showproductname", "--showmeminfo", "vram", "--json"];

interface Answer {
  readonly told: Promise<Told>;
  /** By the clock; Infinity while it is being asked. */
  keptUntil: number;
}

/** Remembers what it was told. Programs are found on the PATH, and no shell is involved. */
export class SmiTools {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #answers = new Map<"amd" | "nvidia", Answer>();

  constructor({ clock, timeoutMs = TIMEOUT_MS }: SmiOptions) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  /** amd-smi, or rocm-smi where that one fails. Never rejects. */
  amd(): Promise<Told> {
    return this.#remembered("amd", async () => {
      const first = await this.#told("amd-smi", () => this.#askAmdSmi());
      if (first.kind === "gpus") return first;
      const second = await this.#told("rocm-smi", async () => parseRocmSmi(await this.#run("rocm-smi", ROCM_ARGS)));
      return second.kind === "gpus" ? second : { kind: "failed", reason: `${first.reason}, ${second.reason}` };
    });
  }

  /** Never rejects. */
  nvidia(): Promise<Told> {
    const args = [`--query-gpu=${NVIDIA_QUERY}`, "--format=csv,noheader,nounits"];
    return this.#remembered("nvidia", () =>
      this.#told("nvidia-smi", async () => parseNvidiaSmi(await this.#run("nvidia-smi", args))),
    );
  }

  async #askAmdSmi(): Promise<readonly ToldGpu[] | undefined> {
    // Render nodes are told with "-e", which ROCm knows since 6.4.
    const list = await this.#run("amd-smi", ["list", "-e", "--json"]).catch((error: unknown) => {
      if (codeOf(error) === "ENOENT") throw error;
      return this.#run("amd-smi", ["list", "--json"]);
    });
    return parseAmdSmi(list, await this.#run("amd-smi", ["metric", "-m", "--json"]));
  }

  #remembered(vendor: "amd" | "nvidia", ask: () => Promise<Told>): Promise<Told> {
    const known = this.#answers.get(vendor);
    if (known !== undefined && this.#clock.now() < known.keptUntil) return known.told;
    const told = ask().then((one) => {
      answer.keptUntil = this.#clock.now() + KEPT_MS[one.kind];
      return one;
    });
    const answer: Answer = { told, keptUntil: Infinity };
    this.#answers.set(vendor, answer);
    return told;
  }

  async #told(program: string, ask: () => Promise<readonly ToldGpu[] | undefined>): Promise<Told> {
    try {
      const gpus = await ask();
      if (gpus !== undefined && gpus.length > 0) return { kind: "gpus", gpus };
      return { kind: "failed", reason: `${program} lists no GPU` };
    } catch (error) {
      return { kind: "failed", reason: `${program} ${this.#describe(error)}` };
    }
  }

  async #run(program: string, args: readonly string[]): Promise<string> {
    const limits = { timeout: this.#timeoutMs, killSignal: "SIGKILL", maxBuffer: MAX_OUTPUT } as const;
    const { stdout } = await execute(program, args, limits);
    return stdout;
  }

  /** nvidia-smi complains on stdout, others on stderr. */
  #describe(error: unknown): string {
    if (codeOf(error) === "ENOENT") return "is not installed";
    if (!(error instanceof Error)) return String(error);
    const { killed, stdout, stderr }: Partial<Record<"killed" | "stdout" | "stderr", unknown>> = error as object;
    if (killed === true) return `gave no answer within ${formatDuration(this.#timeoutMs)}`;
    const lines = [stderr, stdout].flatMap((text) => (typeof text === "string" ? text.split("\n") : []));
    return `failed: ${lines.find((line) => line.trim() !== "")?.trim() ?? error.message}`;
  }
}

const execute = promisify(execFile);
