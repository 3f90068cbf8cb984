// What replicas keep beyond their container: weights, and what engines compile. Pure.
import type { LaunchSpec, Mount } from "../../catalog/launch-spec.ts";

/** Where images look for their user's caches. */
const CACHE_HOME = "/root/.cache";

/** Of `docker.cache`, a folder or volume; undefined when it is off. */
export function cacheMount(cache: string): Mount | undefined {
  if (cache === "none") return undefined;
  return { source: cache, target: CACHE_HOME, readOnly: false };
}

/** Whether something is mounted where the cache goes already; that is then the cache. */
export function isAtCache(target: string): boolean {
  return target.replace(/\/+$/, "") === CACHE_HOME;
}

/**
 * Tells engines to keep their caches there. What is compiled fits one image and one architecture, so it is kept apart by
 * both; weights fit all. AITER was seen to hang when two processes build in one folder, so each replica has its own; names of
 * replicas come again, and so does what they built.
 */
export function cacheEnv(spec: LaunchSpec, imageId: string): Record<string, string> {
  const compiled = `${CACHE_HOME}/aim-engine/${shortId(imageId)}-${architecture(spec)}`;
  return {
    HF_HOME: `${CACHE_HOME}/huggingface`,
    VLLM_CACHE_ROOT: `${compiled}/vllm`,
    TRITON_CACHE_DIR: `${compiled}/triton`,
    TORCHINDUCTOR_CACHE_DIR: `${compiled}/inductor`,
    AITER_JIT_DIR: `${compiled}/aiter/${spec.replica}`,
  };
}

/** "sha256:0123456789abcdef…" → "0123456789ab" */
function shortId(imageId: string): string {
  return imageId.replace(/^sha256:/, "").slice(0, 12);
}

function architecture({ gpus, gpuKind }: LaunchSpec): string {
  if (gpus.length === 0) return "cpu";
  return gpuKind?.arch ?? gpuKind?.vendor ?? "gpu";
}
