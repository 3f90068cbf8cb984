// Labels that only containers bear, beside those that every runtime knows (`LABELS`).

export const DOCKER_LABELS = {
  /**
   * Whose GPUs the ids in `aim-engine.gpus` are: the folder of the device nodes as the Docker Engine sees it, "/dev" on any real
   * machine. Claims of another one are about other GPUs.
   */
  gpuHost: "aim-engine.gpu-host",
  /** The port of a replica that uses the host's network. */
  port: "aim-engine.port",
} as const;
