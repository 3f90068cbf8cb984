// Ports for replicas that use the host's network, where each needs one of its own.
import { once } from "node:events";
import { createServer, type ListenOptions, type Server } from "node:net";
import { AimError, codeOf } from "../../errors.ts";
import type { Clock } from "../../lib/clock.ts";
import { isMeantToRun, type Containers } from "./containers.ts";
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
 * A port is held from its choice until the start has ended, and by its container, which bears it as a label, from the start
 * on. Choices go round: a port that something else takes at the last moment fails one start, not every one.
 */
export class HostPorts {
  readonly #range: PortRange;
  readonly #containers: Pick<Containers, "list">;
  readonly #clock: Clock;
  #next: number;

  constructor(range: PortRange, containers: Pick<Containers, "list">, clock: Clock) {
    this.#range = range;
    this.#containers = containers;
    this.#clock = clock;
    this.#next = range.first;
  }

  /** Runs `use` with a port that no container of any gateway has, and nobody else listens on. */
  async withPort<T>(signal: AbortSignal, use: (port: number) => Promise<T>): Promise<T> {
    const { first, last } = this.#range;
    for (let tries = first; tries <= last; tries++) {
      const port = this.#next;
      this.#next = port === last ? first : port + 1;
      const hold = await tryListen({ path: `\0aim-engine-port/${port}` });
      if (hold === undefined) continue;
      try {
        // In this order: whoever gets hold of a port sees the container that the one before made.
        if ((await isFree(port)) && !(await this.#isTaken(port, signal))) return await use(port);
      } finally {
        await close(hold);
      }
    }
    throw new AimError(
      "runtime_failed",
      `every port of docker.hostPorts (${first}-${last}) is in use; stop a replica that uses the host's network, or widen the range`,
    );
  }

  async #isTaken(port: number, signal: AbortSignal): Promise<boolean> {
    const filters = {
      label: [`${DOCKER_LABELS.port}=${port}`],
      status: ["created", "running", "paused", "restarting"],
    };
    const found = await this.#containers.list(`list the containers at port ${port}`, filters, signal);
    return found.some((one) => isMeantToRun(one, this.#clock.wallNow()));
  }
}

/** The kernel refuses one that something listens on: this gateway is on the host's network itself. */
async function isFree(port: number): Promise<boolean> {
  const server = await tryListen({ port, host: "127.0.0.1" });
  if (server !== undefined) await close(server);
  return server !== undefined;
}

/**
 * Undefined where somebody listens already. The names of Linux's abstract sockets, which begin with a zero byte, belong to
 * a network: they are the same for all gateways on the host's, also for those in containers, and end with their process.
 */
async function tryListen(place: ListenOptions): Promise<Server | undefined> {
  const server = createServer((socket) => socket.destroy()).listen(place);
  try {
    await once(server, "listening");
  } catch (error) {
    // Any other failure tells nothing of somebody else: no right to a low port, say, which an engine may have.
    if (codeOf(error) === "EADDRINUSE") return undefined;
  }
  return server;
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
