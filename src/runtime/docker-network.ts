// The network replicas are attached to: made when it is missing, left in place when we leave.
import { LABELS } from "../catalog/launch-spec.ts";
import { LIMITS, ask, type DockerClient } from "./docker-client.ts";
import { statusOf } from "./docker-errors.ts";

/** The one every Docker Engine has. */
export const DEFAULT_NETWORK = "bridge";

/** Resolves when a network of that name is there. */
export async function ensureNetwork(
  client: DockerClient,
  name: string,
  installation: string,
  signal: AbortSignal,
): Promise<void> {
  if (name === DEFAULT_NETWORK || (await exists(client, name, signal))) return;
  try {
    await client.call(`create network ${name}`, LIMITS.act, signal, (docker, abortSignal) =>
      docker.createNetwork({
        Name: name,
        Driver: "bridge",
        // Docker would allow two networks of one name, and containers could then join neither.
        CheckDuplicate: true,
        Labels: { [LABELS.installation]: installation },
        abortSignal,
      }),
    );
  } catch (error) {
    // Somebody else made it between the look and the creation.
    if (statusOf(error) !== 409) throw error;
  }
}

async function exists(client: DockerClient, name: string, signal: AbortSignal): Promise<boolean> {
  try {
    await client.call(`inspect network ${name}`, LIMITS.look, signal, (docker, abortSignal) =>
      ask(docker, `/networks/${encodeURIComponent(name)}`, abortSignal),
    );
    return true;
  } catch (error) {
    if (statusOf(error) === 404) return false;
    throw error;
  }
}
