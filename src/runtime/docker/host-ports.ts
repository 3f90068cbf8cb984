// Ports for replicas that use the host's network, where each needs one of its own.
import { AimError } from "../../errors.ts";
import type { Containers } from "./containers.ts";
import { DOCKER_LABELS } from "./labels.ts";

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** Throws `invalid_config` for a text that is no range of ports, such as "18000-18999". */
export function parsePortRange(text: string): PortRange {
  const [, first, last] = (/^(\d{1,5})-(\d{1,5})$/.exec(text) ?? []).map(Number);
  if (first !== undefined && last !== undefined && first > 0 && first <= last && last <= 65_535) return { first, last };
  throw new AimError("invalid_config", `docker.hostPorts is no range of ports: ${text}; write it like "18000-18999"`);
}

/**
 * A port is held from its choice until a container bears it as a label, and by that container from then on. Choices go
 * round: a port that something else listens on fails one start, not every one.
 */
export class HostPorts {
  readonly #range: PortRange;
  readonly #containers: Pick<Containers, "list">;
  readonly #held = new Set<number>();
  #next: number;

  constructor(range: PortRange, containers: Pick<Containers, "list">) {
    this.#range = range;
    this.#containers = containers;
    this.#next = range.first;
  }

  /** Runs `use` with a port that no container of any gateway has. */
  async withPort<T>(signal: AbortSignal, use: (port: number) => Promise<T>): Promise<T> {
    const task = "list the ports of containers";
    const others = await this.#containers.list(
      task,
      { label: [DOCKER_LABELS.port], status: ["created", "running", "paused", "restarting"] },
      signal,
    );
    const taken = new Set(others.map(({ labels }) => Number(labels[DOCKER_LABELS.port])));
    const port = this.#choose(taken);
    this.#held.add(port);
    try {
      return await use(port);
    } finally {
      this.#held.delete(port);
    }
  }

  #choose(taken: ReadonlySet<number>): number {
    const { first, last } = this.#range;
    for (let tries = first; tries <= last; tries++) {
      const port = this.#next;
      this.#next = port === last ? first : port + 1;
      if (!taken.has(port) && !this.#held.has(port)) return port;
    }
    throw new AimError(
      "runtime_failed",
      `every port of docker.hostPorts (${first}-${last}) is in use; stop a replica that uses the host's network, or widen the range`,
    );
  }
}
