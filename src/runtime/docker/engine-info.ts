// What the Docker Engine says about itself, as far as it shapes containers.
import { z } from "zod";
import { LIMITS, ask, type DockerClient } from "./client.ts";
import { notUnderstood } from "./errors.ts";

export interface EngineInfo {
  /** Whether it found CDI devices of NVIDIA's; older engines do not tell. */
  readonly nvidiaCdi: boolean;
  /** Of the machine it runs on. */
  readonly memoryBytes: number | undefined;
}

const infoAnswer = z.object({
  MemTotal: z.number().optional(),
  DiscoveredDevices: z.array(z.object({ ID: z.string() })).nullish(),
});

export async function askEngineInfo(client: DockerClient, signal: AbortSignal): Promise<EngineInfo> {
  const task = "tell about itself";
  const answer = infoAnswer.safeParse(
    await client.call(task, LIMITS.look, signal, (docker, abortSignal) => ask(docker, "/info", abortSignal)),
  );
  if (!answer.success) throw notUnderstood(task, answer.error);
  const devices = answer.data.DiscoveredDevices ?? [];
  return {
    nvidiaCdi: devices.some(({ ID }) => ID.startsWith("nvidia.com/gpu=")),
    memoryBytes: answer.data.MemTotal,
  };
}
