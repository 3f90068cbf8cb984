// What engines, their libraries and the runtime say when they fail, what it means, and what to change.

export type FailureCode =
  | "out_of_memory"
  | "host_out_of_memory"
  | "kv_cache_too_small"
  | "gpu_busy"
  | "no_gpu_access"
  | "wrong_architecture"
  | "gated_model"
  | "model_not_found"
  | "unsupported_model"
  | "download_failed"
  | "disk_full"
  | "cache_not_writable"
  | "image_not_found"
  | "bad_argument"
  | "crashed";

export interface Failure {
  readonly code: FailureCode;
  /** What an operator can do about it. */
  readonly advice: string;
}

export interface Symptom extends Failure {
  readonly pattern: RegExp;
}

/** The first that matches any line wins: the more specific cause stands before its usual consequences. */
export const SYMPTOMS: readonly Symptom[] = [
  {
    code: "host_out_of_memory",
    pattern: /\/dev\/shm\b.*No space left|shared memory segment|(?:out of|insufficient) shared memory/i,
    advice: "its shared memory is too small: raise docker.shm in config.yaml, or resources.shm in the recipe",
  },
  {
    code: "disk_full",
    pattern: /No space left on device|ENOSPC|Disk quota exceeded|Not enough free disk space to download/i,
    advice: "free disk space where images and the model cache lie, or give docker.cache another place in config.yaml",
  },
  {
    code: "wrong_architecture",
    pattern: /exec format error|no matching manifest for linux/i,
    advice: "the image was built for another processor: set image in the recipe to one built for this machine's",
  },
  {
    code: "wrong_architecture",
    pattern:
      /invalid device function|hipErrorNoBinaryForGpu|no kernel image is available|HSA_STATUS_ERROR_INVALID_(?:ISA|CODE_OBJECT)|(?:GPU archs?|arch) .*(?:is invalid or not supported|not supported by)/i,
    advice:
      "the image has no kernels for this GPU's architecture: set image to one built for it, or hardware to GPUs it is built for",
  },
  {
    code: "gated_model",
    pattern:
      /access (?:a |)gated repo|GatedRepoError|Access to model .* is restricted|Invalid user token|Invalid credentials in Authorization header|awaiting a review from the repo authors/i,
    advice: "accept the model's licence on huggingface.co and put a valid HF_TOKEN under env in config.yaml",
  },
  {
    code: "model_not_found",
    pattern:
      /RepositoryNotFoundError|RevisionNotFoundError|is not a valid model identifier|404 Client Error|Repo id must (?:be|use)|is not a local folder/i,
    advice: "there is no such model or revision on huggingface.co: correct model (or --revision) in the recipe",
  },
  {
    code: "gated_model",
    // What does not exist is answered like this, too: only after that was ruled out.
    pattern: /40[13] Client Error/,
    advice:
      "huggingface.co refused: put a valid HF_TOKEN under env in config.yaml, and accept the model's licence there",
  },
  {
    code: "image_not_found",
    pattern:
      /No such image|manifest unknown|manifest for .* not found|pull access denied|repository .* not found|failed to resolve reference|invalid reference format/i,
    advice: "check the recipe's image, or pull it by hand on that machine (after docker login where it is private)",
  },
  {
    code: "no_gpu_access",
    pattern:
      /No (?:HIP|CUDA) GPUs are available|no (?:ROCm|CUDA)-capable device|Unable to open \/dev\/kfd|Failed to infer device type|gathering device information|could not select device driver|hipErrorNoDevice|failed to discover .*CDI|unresolvable CDI devices/i,
    advice: "check that /dev/kfd and the GPU's /dev/dri/renderD node exist and that the driver is loaded",
  },
  {
    code: "gpu_busy",
    pattern: /Free memory on device .* is less than desired/i,
    advice:
      "something else holds memory of this GPU (aim-engine gpus shows how much): end it, or lower --gpu-memory-utilization",
  },
  {
    code: "kv_cache_too_small",
    pattern:
      /No available memory for the cache blocks|larger than the (?:maximum number of tokens|available KV cache)|is larger than .*KV cache|more KV cache is needed than|GiB KV cache is needed/i,
    advice: "the KV cache does not fit: lower --max-model-len, raise --gpu-memory-utilization, or use more GPUs",
  },
  {
    code: "out_of_memory",
    pattern: /(?:HIP|CUDA) out of memory|hipErrorOutOfMemory|torch\.(?:cuda\.)?OutOfMemoryError/i,
    advice: "the model does not fit its GPUs: use more of them, a lower precision or a smaller --max-model-len",
  },
  {
    code: "host_out_of_memory",
    pattern:
      /Cannot allocate memory|JavaScript heap out of memory|(?:^|\s)MemoryError|DefaultCPUAllocator: can't allocate|Bus error|Out of memory: Killed process/i,
    advice:
      "the machine ran out of memory: raise resources.memory in the recipe (docker.shm for shared memory), or run less beside it",
  },
  {
    code: "download_failed",
    // Also said, as a warning, by an engine that has all its files and no network: after what ends such a one.
    pattern:
      /LocalEntryNotFoundError|outgoing traffic has been disabled|We couldn't connect to|Max retries exceeded with url|NameResolutionError|Temporary failure in name resolution|Network is unreachable|IncompleteRead|ReadTimeoutError|(?:429|50[0234]) (?:Client|Server) Error/i,
    advice:
      "its files could not be downloaded: check the network and proxy of its container (HTTPS_PROXY, HF_ENDPOINT under env), or fill the cache beforehand",
  },
  {
    code: "unsupported_model",
    pattern:
      /Model architectures? .* (?:are|is) not supported|does not recognize this architecture|but Transformers does not|has no vLLM implementation|Unknown quantization method|quantization method .* is (?:currently )?not supported|requires you to execute the .* (?:code|file) in that repo|contains custom code which must be executed/i,
    advice:
      "this version of the engine cannot run the model: set image to a newer one, or (where the log asks for it) add --trust-remote-code",
  },
  {
    code: "bad_argument",
    pattern:
      /unrecognized arguments|invalid choice:|the following arguments are required|expected (?:one|at least one) argument|error: argument|unknown option|executable file not found|validation errors? for|must be divisible by tensor parallel size|divisible by .*tensor.parallel/i,
    advice: "correct the recipe's arguments; the last log lines name the one at fault",
  },
  {
    code: "cache_not_writable",
    pattern: /(?:Permission denied|Read-only file system):? ['"]?\/(?:root\/\.cache|data|models|cache)\b/i,
    advice:
      "the model cache cannot be written: check the owner of docker.cache, or a mount of the recipe with readOnly",
  },
];
