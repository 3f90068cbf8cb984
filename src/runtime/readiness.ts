// Whether a replica can serve: its health, the name it serves and, where asked for, one generated token.
import type { Readiness } from "../catalog/launch-spec.ts";
import { AimError, codeOf, messageOf } from "../errors.ts";
import type { Clock } from "../lib/clock.ts";
import { createEngineHttp, type EngineAnswer as Answer } from "./engine-http.ts";
import { parseEngineLoad, type EngineLoad } from "./engine-load.ts";

/** `final`: asking again will not help, since whoever answers there is not the replica that was started. */
export type ProbeResult =
  | { readonly ready: true }
  | { readonly ready: false; readonly reason: string; readonly final?: boolean };

export interface ReadinessProbe {
  /** Asks once. Never rejects for what the replica does; rejects with the signal's reason when that aborts. */
  isReady(address: URL, readiness: Readiness, signal: AbortSignal): Promise<ProbeResult>;
  /**
   * Whether one token comes within half a minute, or at least an answer: false when none does, or the server says that its
   * engine is dead. Rejects with the signal's reason when that aborts.
   */
  generates(address: URL, model: string, signal: AbortSignal): Promise<boolean>;
  /** What its engine has to do; undefined when it does not tell. Rejects with the signal's reason when that aborts. */
  load(address: URL, signal: AbortSignal): Promise<EngineLoad | undefined>;
  close(): Promise<void>;
}

/** Who is awaited, and how. */
export interface Awaited {
  readonly address: URL;
  readonly readiness: Readiness;
  /** Resolves when it is time to ask again; rejects with the signal's reason when that aborts. */
  pause(signal: AbortSignal): Promise<void>;
  /** Told each time why it is not ready yet. */
  onNotReady?(reason: string): void;
}

const READY: ProbeResult = { ready: true };
const PROBE_TIMEOUT_MS = 10_000;
/** The first request may compile kernels, and cutting it short would make it start over. */
const WARM_UP_TIMEOUT_MS = 60_000;
/** Beyond that, an engine that has been of use before is taken for dead. */
const CANARY_TIMEOUT_MS = 30_000;
const MAX_BODY_BYTES = 4 * 1024 * 1024;
const QUOTE_LENGTH = 200;

interface Question {
  readonly path: string;
  readonly post?: Readonly<Record<string, unknown>>;
  readonly timeoutMs?: number;
}

type Ask = (question: Question) => Promise<Answer>;

/** A probe with connections of its own. */
export function createReadinessProbe(deps: { readonly clock: Clock }): ReadinessProbe {
  const http = createEngineHttp(deps.clock);
  const common = { late: "upstream_timeout", maxBytes: MAX_BODY_BYTES } as const;
  const askAt =
    (address: URL, signal: AbortSignal): Ask =>
    (question) =>
      http.ask({ timeoutMs: PROBE_TIMEOUT_MS, ...question, ...common, address, signal });
  return {
    async isReady(address, readiness, signal) {
      try {
        return await examine(askAt(address, signal), readiness);
      } catch (error) {
        signal.throwIfAborted();
        return { ready: false, reason: describeFailure(error) };
      }
    },
    async generates(address, model, signal) {
      try {
        const answer = await askForToken(askAt(address, signal), model, CANARY_TIMEOUT_MS);
        // A refusal comes from a server that is at work; what it has no words for is not its engine's fault.
        return answer === undefined || answer.status < 500;
      } catch {
        // No answer at all is the answer that was asked for.
        signal.throwIfAborted();
        return false;
      }
    },
    async load(address, signal) {
      try {
        const answer = await askAt(address, signal)({ path: "/metrics" });
        return answer.status === 200 ? parseEngineLoad(answer.body) : undefined;
      } catch {
        // Metrics are a courtesy: without them nothing is known, which is not a fault.
        signal.throwIfAborted();
        return undefined;
      }
    },
    close: () => http.close(),
  };
}

/**
 * Resolves once the replica is ready. Rejects with `runtime_failed` when it never will be, and with the signal's reason
 * when that aborts.
 */
export async function awaitReady(probe: ReadinessProbe, awaited: Awaited, signal: AbortSignal): Promise<void> {
  for (;;) {
    const result = await probe.isReady(awaited.address, awaited.readiness, signal);
    if (result.ready) return;
    if (result.final === true) throw new AimError("runtime_failed", `the replica cannot serve: ${result.reason}`);
    awaited.onNotReady?.(result.reason);
    await awaited.pause(signal);
  }
}

async function examine(ask: Ask, readiness: Readiness): Promise<ProbeResult> {
  const health = await ask({ path: "/health" });
  if (health.status !== 200) return notOk("/health", health);
  const models = await ask({ path: "/v1/models" });
  if (models.status !== 200) return notOk("/v1/models", models);
  const served = servedModels(models.body);
  if (served === undefined) return { ready: false, reason: "GET /v1/models answered no list of models" };
  if (!served.includes(readiness.servedModel)) return servesOthers(served, readiness.servedModel);
  return readiness.warmUp ? warmUp(ask, readiness.servedModel) : READY;
}

/** One token. A server with neither route (an embedding model) has nothing to warm up. */
async function warmUp(ask: Ask, model: string): Promise<ProbeResult> {
  const answer = await askForToken(ask, model, WARM_UP_TIMEOUT_MS);
  return answer === undefined || answer.status === 200 ? READY : notOk(answer.path, answer);
}

/** The answer of the first of the routes that is there; undefined when there is none. */
async function askForToken(ask: Ask, model: string, timeoutMs: number): Promise<(Answer & Question) | undefined> {
  const common = { model, max_tokens: 1, temperature: 0 };
  const attempts: readonly Question[] = [
    { path: "/v1/completions", post: { ...common, prompt: "Hi" } },
    { path: "/v1/chat/completions", post: { ...common, messages: [{ role: "user", content: "Hi" }] } },
  ];
  for (const attempt of attempts) {
    const answer = await ask({ ...attempt, timeoutMs });
    if (answer.status !== 404) return { ...attempt, ...answer };
  }
  return undefined;
}

/** Ids of OpenAI's `data` list; llama.cpp adds a `models` list with names. Undefined when there is neither. */
function servedModels(body: string): readonly string[] | undefined {
  const answer = parseJson(body);
  if (!isRecord(answer)) return undefined;
  const lists = [answer["data"], answer["models"]].filter((list) => Array.isArray(list));
  if (lists.length === 0) return undefined;
  const entries: unknown[] = lists.flat();
  const names = entries.filter(isRecord).flatMap((entry) => [entry["id"], entry["name"], entry["model"]]);
  return [...new Set(names.filter((name) => typeof name === "string"))];
}

function servesOthers(served: readonly string[], wanted: string): ProbeResult {
  if (served.length === 0) return { ready: false, reason: `it serves no model yet, not ${wanted}` };
  return { ready: false, reason: `it serves ${served.join(", ")}, not ${wanted}`, final: true };
}

/** The server refuses (4xx) or points elsewhere (3xx) for good; 5xx and 408/425/429 may pass. */
function notOk(path: string, answer: Answer): ProbeResult {
  const quote = answer.body.replaceAll(/\s+/g, " ").trim().slice(0, QUOTE_LENGTH);
  const reason = `${path} answered ${answer.status}${quote === "" ? "" : `: ${quote}`}`;
  const passing = answer.status < 300 || answer.status >= 500 || [404, 408, 425, 429].includes(answer.status);
  return passing ? { ready: false, reason } : { ready: false, reason, final: true };
}

function describeFailure(error: unknown): string {
  if (error instanceof AimError) return error.message;
  if (codeOf(error) === "ECONNREFUSED") return "still loading: it does not listen yet";
  return `still loading: ${codeOf(error) ?? messageOf(error)}`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON is an answer too: the caller says what was expected.
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
