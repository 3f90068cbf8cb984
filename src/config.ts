// config.yaml and the environment, read once: strict, with every default in one place. The only reader of process.env.
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, resolve } from "node:path";
import { formatImage, isImageId, parseImage, parseRegistry } from "./catalog/image.ts";
import { configSchema, parseListen, REGISTRY, type Settings } from "./config-schema.ts";
import { checkSchema } from "./lib/schema-findings.ts";
import { parseYaml, type Finding } from "./lib/yaml-source.ts";
import { AimError, codeOf, messageOf } from "./errors.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

export { parseListen } from "./config-schema.ts";

/** The checked configuration: durations in ms, sizes in bytes, paths absolute. */
export interface Config extends Omit<Settings, "recipes" | "logDir"> {
  readonly logDir: string;
  readonly recipes: readonly string[];
  /** Where it came from; undefined when only defaults are used. */
  readonly file: string | undefined;
  /** What local processes inherit of the gateway's environment. */
  readonly processEnvironment: Readonly<Record<string, string>>;
}

/** Images when neither recipe nor config names one; `VLLM_BASE_REGISTRY` replaces the repository of the first. */
const DEFAULT_IMAGES = {
  vllm: "rocm/vllm:latest",
  sim: "rocm/vllm:latest",
  sglang: "lmsysorg/sglang:latest",
};
const INHERITED = ["PATH", "HOME", "LANG", "TMPDIR", "TZ"];

/**
 * Reads the configuration: environment over file over default.
 *
 * @throws AimError `invalid_config` with file, line, column and remedy for everything that is wrong.
 */
export async function loadConfig(file: string | undefined, env: Environment = process.env): Promise<Config> {
  const path = file ?? env["AIM_ENGINE_CONFIG"];
  const settings = path === undefined ? configSchema.parse({}) : parseConfig(path, await readConfig(path), env);
  const listen = env["AIM_ENGINE_LISTEN"] === undefined ? settings.listen : listenOf(env["AIM_ENGINE_LISTEN"]);
  const base = path === undefined ? process.cwd() : dirname(resolve(path));
  const absolute = (one: string) => resolve(base, one.replace(/^~(?=\/)/, homedir()));
  const config: Config = {
    ...settings,
    ...registryOf(env),
    listen,
    recipes: [settings.recipes].flat().map(absolute),
    stateDir: absolute(settings.stateDir),
    logDir: absolute(settings.logDir ?? `${settings.stateDir}/logs`),
    images: { ...DEFAULT_IMAGES, ...vllmImage(env), ...settings.images },
    env: { ...modelHub(env), ...settings.env },
    file: path,
    processEnvironment: Object.fromEntries(INHERITED.flatMap((name) => pairOf(name, env[name]))),
  };
  assertGuarded(config);
  return config;
}

/** How the CLI reaches the gateway. */
export interface ClientSettings {
  readonly url: string;
  readonly apiKey?: string;
}

export function clientSettings(env: Environment = process.env): ClientSettings {
  const url = env["AIM_ENGINE_URL"] ?? "http://127.0.0.1:8000";
  const apiKey = env["AIM_ENGINE_API_KEY"];
  return apiKey === undefined || apiKey === "" ? { url } : { url, apiKey };
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

/** The environment, for the one variable a part may need that is no setting of ours (CI, NO_COLOR). */
export function environment(): Environment {
  return process.env;
}

async function readConfig(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const message = `cannot read the configuration ${path} (${codeOf(error) ?? messageOf(error)}); name another with --config`;
    throw new AimError("invalid_config", message, { cause: error });
  }
}

function parseConfig(file: string, text: string, env: Environment): Settings {
  const parsed = parseYaml(text);
  if ("faults" in parsed) {
    throw invalid(
      file,
      parsed.faults.map((fault) => `${file}:${fault.line}:${fault.col}: ${fault.message}`),
    );
  }
  const findings: Finding[] = [];
  const value = substitute(parsed.source.value ?? {}, env, [], findings);
  const checked = checkSchema(configSchema, value);
  findings.push(...checked.findings);
  if (findings.length > 0 || checked.data === undefined) {
    throw invalid(
      file,
      findings.map((finding) => placed(file, finding, parsed.source.position(finding.path, finding.at))),
    );
  }
  return checked.data;
}

function placed(file: string, finding: Finding, position: { readonly line: number; readonly col: number }): string {
  const key = finding.path.map(String).join(".");
  return `${file}:${position.line}:${position.col}: ${key === "" ? "" : `${key}: `}${finding.message}`;
}

function invalid(file: string, lines: readonly string[]): AimError {
  return new AimError("invalid_config", `the configuration ${file} cannot be used:\n${lines.join("\n")}`);
}

/** `${NAME}` and `${NAME:-default}` in every string; `$$` is a dollar sign. An unset name without default is a finding. */
function substitute(value: unknown, env: Environment, path: readonly PropertyKey[], findings: Finding[]): unknown {
  if (typeof value === "string") return substituteText(value, env, (message) => findings.push({ path, message }));
  if (Array.isArray(value)) return value.map((item, index) => substitute(item, env, [...path, index], findings));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, item]) => [key, substitute(item, env, [...path, key], findings)]);
  return Object.fromEntries(entries);
}

function substituteText(text: string, env: Environment, onMissing: (message: string) => void): string {
  return text.replaceAll(
    /\$\$|\$\{(\w+)(?::-([^}]*))?\}/g,
    (whole, name: string | undefined, fallback: string | undefined) => {
      if (name === undefined) return "$";
      const value = env[name] === "" ? fallback : (env[name] ?? fallback);
      if (value === undefined)
        onMissing(`the environment variable ${name} is not set; set it, or write \${${name}:-default}`);
      return value ?? whole;
    },
  );
}

function listenOf(text: string): { readonly host: string; readonly port: number } {
  const listen = parseListen(text);
  if (listen === undefined)
    throw new AimError("invalid_config", `AIM_ENGINE_LISTEN is "${text}"; expected HOST:PORT such as 127.0.0.1:8000`);
  return listen;
}

/** A gateway that starts containers must not be open to strangers by accident. */
function assertGuarded(config: Config): void {
  if (isLoopback(config.listen.host) || config.apiKeys.length > 0 || config.insecure) return;
  const message = `refusing to listen on ${config.listen.host} without apiKeys: anyone could use the GPUs`;
  throw new AimError(
    "invalid_config",
    `${message}; set apiKeys in the configuration, or insecure: true if a proxy in front checks callers`,
  );
}

/** AIM_ENGINE_REGISTRY, which has the last word. */
function registryOf(env: Environment): { registry?: string } {
  const text = env["AIM_ENGINE_REGISTRY"] ?? "";
  if (text === "") return {};
  const registry = parseRegistry(text);
  if (registry !== undefined) return { registry };
  throw new AimError("invalid_config", `AIM_ENGINE_REGISTRY is "${text}"; ${REGISTRY}`);
}

/** VLLM_BASE_REGISTRY: an image, whose tag may be left out. */
function vllmImage(env: Environment): { vllm?: string } {
  const text = env["VLLM_BASE_REGISTRY"] ?? "";
  if (text === "") return {};
  if (isImageId(text)) return { vllm: text };
  const image = parseImage(text);
  if (image !== undefined) {
    const isPinned = image.tag !== undefined || image.digest !== undefined;
    return { vllm: formatImage(isPinned ? image : { ...image, tag: "latest" }) };
  }
  const expected = 'expected an image such as "rocm/vllm" or "registry.example:5000/rocm/vllm:TAG"';
  throw new AimError("invalid_config", `VLLM_BASE_REGISTRY is "${text}"; ${expected}`);
}

/** MODEL_REGISTRY: where engines find models, in the variable that they read it from. */
function modelHub(env: Environment): { HF_ENDPOINT?: string } {
  const text = env["MODEL_REGISTRY"] ?? "";
  if (text === "") return {};
  const url = URL.parse(/^[a-z]+:\/\//i.test(text) ? text : `https://${text}`);
  const extras = url === null ? "" : url.search + url.hash + url.username + url.password;
  if (url !== null && /^https?:$/.test(url.protocol) && extras === "")
    return { HF_ENDPOINT: url.href.replace(/\/+$/, "") };
  throw new AimError(
    "invalid_config",
    "MODEL_REGISTRY is no address of a model hub; expected one such as huggingface.co or https://hub.example/hf",
  );
}

function pairOf(name: string, value: string | undefined): readonly (readonly [string, string])[] {
  return value === undefined ? [] : [[name, value]];
}
