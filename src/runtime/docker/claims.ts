// Who has which GPU on this engine, whichever gateway made the container: its labels are its claim.
import { LABELS } from "../../catalog/launch-spec.ts";
import { AimError } from "../../errors.ts";
import { sleep, type Clock } from "../../lib/clock.ts";
import { isMeantToRun, type Containers, type Listed } from "./containers.ts";
import { DOCKER_LABELS } from "./labels.ts";

const LOOK_EVERY_MS = 100;
const LONGEST_WAIT_MS = 10_000;
const NOT_ENDED = ["created", "running", "paused", "restarting"];

export interface ClaimsOptions {
  readonly containers: Containers;
  readonly clock: Clock;
  readonly installation: string;
  /** See `DOCKER_LABELS.gpuHost`. */
  readonly gpuHost: string;
}

/** A container that was created and not yet started, and the GPUs it is to have. */
export interface Claim {
  readonly id: string;
  readonly installation: string;
  readonly gpus: readonly string[];
  /** Replicas of the same installation that may have the GPUs at the same time. */
  readonly beside: readonly string[];
}

/** What the other containers mean for a claim. */
export type Verdict =
  | { readonly kind: "clear" }
  /** Of a start of ours that ended with its gateway; Docker may carry it out yet, unless the container goes. */
  | { readonly kind: "remains"; readonly by: Listed }
  /** Another gateway is about to start a container on one of the GPUs, or to give up: it has the right of way until then. */
  | { readonly kind: "contested"; readonly by: Listed }
  | { readonly kind: "taken"; readonly by: Listed };

/**
 * Lets gateways that do not know each other share the GPUs of one engine. Each creates its container, which makes its claim
 * visible, then looks at everybody's: a GPU of a running container is taken, and of two that are created, the one with the
 * lower id waits while the other yields. Of any two claims one at least sees the other, so that never both are started.
 */
export class Claims {
  readonly #options: ClaimsOptions;

  constructor(options: ClaimsOptions) {
    this.#options = options;
  }

  /** Resolves when nobody else has the GPUs; rejects with who does, and then the container must be removed. */
  async settle({ id, gpus, beside }: Omit<Claim, "installation">, signal: AbortSignal): Promise<void> {
    if (gpus.length === 0) return;
    const { clock, containers, installation } = this.#options;
    const claim = { id, installation, gpus, beside };
    const giveUpAt = clock.now() + LONGEST_WAIT_MS;
    for (;;) {
      const verdict = judge(claim, await this.#others(NOT_ENDED, signal), clock.wallNow());
      if (verdict.kind === "clear") return;
      if (verdict.kind === "remains") {
        await containers.remove(verdict.by.id, signal);
        continue;
      }
      if (verdict.kind === "taken" || clock.now() >= giveUpAt) throw taken(claim, verdict.by);
      await sleep(clock, LOOK_EVERY_MS, signal);
    }
  }

  /** GPUs that running containers of other installations have, and in words which containers those are. */
  async foreign(signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
    const running = await this.#others(["running", "paused", "restarting"], signal);
    const strangers = running.filter((one) => one.labels[LABELS.installation] !== this.#options.installation);
    return new Map(strangers.flatMap((one) => gpusOf(one).map((gpu) => [gpu, describe(one)])));
  }

  async #others(status: readonly string[], signal: AbortSignal): Promise<readonly Listed[]> {
    const filters = { label: [LABELS.gpus], status: [...status] };
    const found = await this.#options.containers.list("list the containers that have GPUs", filters, signal);
    return found.filter((one) => (one.labels[DOCKER_LABELS.gpuHost] ?? "/dev") === this.#options.gpuHost);
  }
}

/** Pure. `now` is the time of day, in ms since the Unix epoch. */
export function judge(claim: Claim, others: readonly Listed[], now: number): Verdict {
  const rivals = others.filter((one) => one.id !== claim.id && shared(claim, one).length > 0 && !isMeant(claim, one));
  const running = rivals.find(({ state }) => state !== "created");
  if (running !== undefined) return { kind: "taken", by: running };
  // One installation has one gateway, which starts nothing on a GPU twice at once but what is meant to share it.
  const remains = rivals.find(({ labels }) => labels[LABELS.installation] === claim.installation);
  if (remains !== undefined) return { kind: "remains", by: remains };
  const created = rivals.filter((one) => isMeantToRun(one, now)).sort((a, b) => (a.id < b.id ? -1 : 1));
  const [first] = created;
  if (first === undefined) return { kind: "clear" };
  return { kind: first.id < claim.id ? "taken" : "contested", by: first };
}

/** Its gateway placed the one beside the other: they share the GPU, or the other one sleeps. */
function isMeant({ installation, beside }: Claim, { labels }: Listed): boolean {
  return labels[LABELS.installation] === installation && beside.includes(labels[LABELS.replica] ?? "");
}

function gpusOf({ labels }: Listed): string[] {
  return (labels[LABELS.gpus] ?? "").split(",").filter((gpu) => gpu !== "");
}

function shared(claim: Claim, other: Listed): string[] {
  return gpusOf(other).filter((gpu) => claim.gpus.includes(gpu));
}

function describe({ name, labels }: Listed): string {
  return `container ${name} of installation ${labels[LABELS.installation] ?? "unknown"}`;
}

function taken(claim: Claim, by: Listed): AimError {
  const gpus = shared(claim, by);
  const which = gpus.length === 1 ? `GPU ${gpus[0]} is` : `GPUs ${gpus.join(", ")} are`;
  return new AimError("runtime_failed", `${which} held by ${describe(by)}, which is ${by.state}`, {
    data: { failure: "gpu_taken", gpus },
  });
}
