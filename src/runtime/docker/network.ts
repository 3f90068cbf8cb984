// The network replicas are attached to: made when it is missing, left in place when we leave.
import { LABELS } from "../../catalog/launch-spec.ts";
import { LIMITS, ask, type DockerClient } from "./client.ts";
import { orAborted } from "../../lib/or-aborted.ts";
import { statusOf } from "./errors.ts";

/** The one every Docker Engine has. */
export const DEFAULT_NETWORK = "bridge";

export class Network {
  readonly #client: DockerClient;
  readonly #name: string;
  readonly #installation: string;
  /** Shared by those who need it at once: Docker lets two creations race to two networks of one name, and then uses neither. */
  #ensuring: Promise<void> | undefined;

  constructor(client: DockerClient, name: string, installation: string) {
    this.#client = client;
    this.#name = name;
    this.#installation = installation;
  }

  /** Resolves when it is there. */
  async ensure(signal: AbortSignal): Promise<void> {
    if (this.#name === DEFAULT_NETWORK) return;
    this.#ensuring ??= this.#lookOrMake().finally(() => {
      this.#ensuring = undefined;
    });
    await orAborted(this.#ensuring, signal);
  }

  /** Not aborted by one of those who wait; each call is bounded. */
  async #lookOrMake(): Promise<void> {
    const { signal } = new AbortController();
    if (await this.#exists(signal)) return;
    try {
      await this.#client.call(`create network ${this.#name}`, LIMITS.act, signal, (docker, abortSignal) =>
        docker.createNetwork({
          Name: this.#name,
          Driver: "bridge",
          CheckDuplicate: true,
          Labels: { [LABELS.installation]: this.#installation },
          abortSignal,
        }),
      );
    } catch (error) {
      // Another process made it between the look and the creation.
      if (statusOf(error) !== 409) throw error;
    }
  }

  async #exists(signal: AbortSignal): Promise<boolean> {
    const path = `/networks/${encodeURIComponent(this.#name)}`;
    try {
      await this.#client.call(`inspect network ${this.#name}`, LIMITS.look, signal, (docker, abortSignal) =>
        ask(docker, path, abortSignal),
      );
      return true;
    } catch (error) {
      if (statusOf(error) === 404) return false;
      throw error;
    }
  }
}
