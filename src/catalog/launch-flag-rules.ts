// Which engine flags only a recipe may give, and why. Kept apart from how they are recognised, since engines grow new ones.
import { reservedFlags } from "./flags.ts";
import type { Engine } from "./recipe.ts";

const SPREAD = "how a model is spread over GPUs and machines is its recipe's to say";
const CODE = "it can bring in code or another model, which only a recipe may";
const FILES = "it makes the engine read or write files, which only a recipe may";
const NETWORK = "it makes the engine listen or send somewhere else, which only a recipe may";
const SECRET = 'a secret would show in listings; put it into "env" of config.yaml';

/** Of vLLM and SGLang. */
const PYTHON_RULES = {
  ...because(
    SPREAD,
    `--tensor-parallel-size --tp-size --tp --pipeline-parallel-size --pp-size --pp --data-parallel-size --dp-size --dp
    --data-parallel-rank --data-parallel-start-rank --data-parallel-size-local --data-parallel-address
    --data-parallel-rpc-port --data-parallel-backend --data-parallel-hybrid-lb --data-parallel-external-lb
    --prefill-context-parallel-size --decode-context-parallel-size --enable-dp-attention --moe-dp-size --attn-cp-size
    --expert-parallel-size --ep-size --nnodes --node-rank --master-addr --master-port --dist-init-addr
    --nccl-init-addr --nccl-port --distributed-executor-backend --base-gpu-id --gpu-id-step --device --headless`,
  ),
  // A recipe that trusts remote code trusts the repositories and revisions it names, not every other one.
  ...because(
    CODE,
    `--trust-remote-code --config --revision --code-revision --tokenizer --tokenizer-path --tokenizer-revision
    --hf-config-path --hf-overrides --json-model-override-args --speculative-config --spec-model
    --speculative-draft-model-path --speculative-draft-model-revision --model-loader-extra-config --compilation-config
    --structured-outputs-config --speculative-token-map
    --worker-cls --worker-extension-cls --scheduler-cls --logits-processors --middleware --io-processor-plugin
    --tool-parser-plugin --reasoning-parser-plugin --tool-server --kv-transfer-config --ec-transfer-config
    --custom-weight-loader --enable-custom-logit-processor --forward-hooks --hicache-storage-backend
    --hicache-storage-backend-extra-config`,
  ),
  // A chat template may be a file, and what is in a file can be asked back from the model.
  ...because(
    FILES,
    `--download-dir --chat-template --completion-template --allowed-local-media-path --log-config-file --profiler-config
    --delete-ckpt-after-loading --init-expert-location --quantization-param-path --crash-dump-folder
    --file-storage-path --export-metrics-to-file --export-metrics-to-file-dir --decrypted-config-file --decrypted-draft-config-file`,
  ),
  ...because(
    NETWORK,
    `--root-path --fastapi-root-path --grpc --grpc-mode --smg-grpc-mode --otlp-traces-endpoint --kv-events-config
    --ssl-keyfile --ssl-certfile --ssl-ca-certs --ssl-cert-reqs --ssl-ciphers --ssl-keyfile-password
    --enable-ssl-refresh --disaggregation-mode --disaggregation-bootstrap-port`,
  ),
  ...because(SECRET, "--hf-token --admin-api-key"),
};

const LLAMA_RULES = {
  ...because(
    CODE,
    `-m --model -mu --model-url -dr --docker-repo -hf -hfr --hf-repo -hff --hf-file -hfv -hfrv --hf-repo-v -hffv
    --hf-file-v -md --model-draft --spec-draft-model --spec-draft-hf -hfd -hfrd --hf-repo-draft -mv --model-vocoder
    -mm --mmproj -mmu --mmproj-url --lora --lora-scaled --control-vector --control-vector-scaled --tools --models-preset`,
  ),
  ...because(FILES, "-f -bf -jf -lcs --lookup-cache-static -lcd --lookup-cache-dynamic --slot-save-path --models-dir"),
  ...because(NETWORK, "--rpc --api-prefix --webui-mcp-proxy --reuse-port"),
  ...because(SECRET, "-hft --hf-token"),
};

/** Every flag that a launch may not give, with the reason. */
export const RECIPE_FLAGS: Readonly<Record<Engine, Readonly<Record<string, string>>>> = {
  vllm: { ...PYTHON_RULES, ...reservedFlags("vllm") },
  sim: { ...PYTHON_RULES, ...reservedFlags("sim") },
  sglang: { ...PYTHON_RULES, ...reservedFlags("sglang") },
  "llama.cpp": { ...LLAMA_RULES, ...reservedFlags("llama.cpp"), "-a": reservedFlags("llama.cpp")["--alias"] ?? CODE },
  openai: {},
};

/** Flags that go by their names, those of engine versions to come among them; llama.cpp's presets ("--x-default") load models. */
export const RECIPE_FLAG_NAMES: readonly { readonly like: RegExp; readonly why: string }[] = [
  { like: /(^--|-)(path|file|dir|folder)$/, why: FILES },
  { like: /(^--|-)(plugin|cls|default)$/, why: CODE },
];

/** Flags that one of the above begins with, and that are harmless themselves. */
export const WHOLE_FLAGS: ReadonlySet<string> = new Set(["--reasoning-parser", "--quantization"]);

function because(why: string, flags: string): Readonly<Record<string, string>> {
  return Object.fromEntries(flags.split(/\s+/).map((flag) => [flag, why]));
}
