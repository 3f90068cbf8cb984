// The network replicas are attached to: made when it is missing, left in place when we leave. A gateway that runs in a
// container is attached, too, since it dials replicas at their own addresses.
import { z } from "zod";
import { LABELS } from "../../catalog/launch-spec.ts";
import { isAimError } from "../../errors.ts";
import { orAborted } from "../../lib/or-aborted.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { LIMITS, ask, type DockerClient } from "./client.ts";
import { notUnderstood, statusOf } from "./errors.ts";
import { PerConnection } from "./per-connection.ts";
import type { Self } from "./self.ts";

/** The one every Docker Engine has. */
export const DEFAULT_NETWORK = "bridge";

export interface NetworkOptions {
  readonly client: DockerClient;
  readonly name: string;
  readonly installation: string;
  readonly self: PerConnection<Self | undefined>;
  readonly logger: Logger;
}

const networkAnswer = z.object({ Containers: z.record(z.string(), z.unknown()).nullish() });

export class Network {
  readonly #options: NetworkOptions;
  readonly #joined: PerConnection<void>;
  /** Shared by those who need it at once: Docker lets two creations race to two networks of one name, and then uses neither. */
  #ensuring: Promise<void> | undefined;

  constructor(options: NetworkOptions) {
    this.#options = options;
    this.#joined = new PerConnection(options.client, (signal) => this.#joinAgain(signal));
  }

  /** Resolves when it is there, and this gateway can reach whoever is in it. */
  async ensure(signal: AbortSignal): Promise<void> {
    this.#ensuring ??= this.#ensure().finally(() => {
      this.#ensuring = undefined;
    });
    await orAborted(this.#ensuring, signal);
  }

  /** Sees to it that replicas that run already can be reached, once per connection to the engine. */
  async join(signal: AbortSignal): Promise<void> {
    await this.#joined.get(signal);
  }

  /** Not aborted by one of those who wait; each call is bounded. */
  async #ensure(): Promise<void> {
    const { signal } = new AbortController();
    const self = await this.#attachable(signal);
    if (this.#options.name === DEFAULT_NETWORK && self === undefined) return;
    const members = (await this.#members(signal)) ?? (await this.#make(signal));
    if (self !== undefined && !members.has(self.id)) await this.#attach(self, signal);
  }

  async #joinAgain(signal: AbortSignal): Promise<void> {
    try {
      const self = await this.#attachable(signal);
      const members = self === undefined ? undefined : await this.#members(signal);
      // No network means no replicas in it; the first start makes it.
      if (self !== undefined && members?.has(self.id) === false) await this.#attach(self, signal);
    } catch (error) {
      if (isAimError(error, "runtime_unavailable")) throw error;
      // What cannot be reached for it is found out replica by replica, and others must not suffer.
      this.#options.logger.warn(
        { err: error },
        "the gateway's container could not be attached to the replicas' network",
      );
    }
  }

  /** Undefined where there is nothing to do, or nothing that can be done: on the host's network, or another container's. */
  async #attachable(signal: AbortSignal): Promise<Self | undefined> {
    const self = await this.#options.self.get(signal);
    return self === undefined || /^(host|none|container:.*)$/.test(self.networkMode) ? undefined : self;
  }

  /** The ids of the running containers in it; undefined when there is no such network. */
  async #members(signal: AbortSignal): Promise<ReadonlySet<string> | undefined> {
    const { client, name } = this.#options;
    const task = `inspect network ${name}`;
    try {
      const answer = networkAnswer.safeParse(
        await client.call(task, LIMITS.look, signal, (docker, abortSignal) =>
          ask(docker, `/networks/${encodeURIComponent(name)}`, abortSignal),
        ),
      );
      if (!answer.success) throw notUnderstood(task, answer.error);
      return new Set(Object.keys(answer.data.Containers ?? {}));
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }
  }

  async #make(signal: AbortSignal): Promise<ReadonlySet<string>> {
    const { client, name, installation } = this.#options;
    try {
      await client.call(`create network ${name}`, LIMITS.act, signal, (docker, abortSignal) =>
        docker.createNetwork({
          Name: name,
          Driver: "bridge",
          CheckDuplicate: true,
          Labels: { [LABELS.installation]: installation },
          abortSignal,
        }),
      );
    } catch (error) {
      // Another process made it between the look and the creation.
      if (statusOf(error) !== 409) throw error;
    }
    return new Set();
  }

  async #attach(self: Self, signal: AbortSignal): Promise<void> {
    const { client, name, logger } = this.#options;
    try {
      const task = `attach the gateway's container to network ${name}`;
      await client.call(task, LIMITS.act, signal, (docker, abortSignal) => {
        const options = { Container: self.id, abortSignal };
        return docker.getNetwork(name).connect(options);
      });
    } catch (error) {
      // Refused where it is attached already, in other words with each version of Docker.
      if ((await this.#members(signal))?.has(self.id) === true) return;
      throw error;
    }
    logger.info({ container: self.id, network: name }, "attached the gateway's container to the replicas' network");
  }
}
