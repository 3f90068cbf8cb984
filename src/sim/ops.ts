// The endpoints that do not generate: health, models, metrics, token counts, sleep.
import { sleep as pause } from "../lib/clock.ts";
import { roomAfter, servedName } from "./call.ts";
import { type Core, VERSION } from "./core.ts";
import { contextOf } from "./generate-route.ts";
import { type Exchange, overSignal, readFields, send, sendEmpty, sendJson } from "./http.ts";
import { promptOfMessages } from "./messages.ts";
import { renderMetrics } from "./metrics.ts";
import { chatPrompt } from "./openai.ts";
import type { SleepLevel, SleepPolicy } from "./sleep-mode.ts";
import { encode } from "./tokens.ts";
import { badRequest } from "./wire.ts";

/** 200 whatever the engine does, hung or asleep: vLLM only tests a flag. */
export async function health({ response }: Exchange, core: Core): Promise<void> {
  const { slowHealth, healthReadyLate } = core.options.knobs;
  if (slowHealth > 0) await pause(core.clock, slowHealth * 1000, overSignal(response));
  const ready = core.clock.now() - core.startedAt >= healthReadyLate * 1000;
  sendEmpty(response, ready ? 200 : 503);
}

export function version({ response }: Exchange): void {
  sendJson(response, 200, { version: VERSION });
}

export function models({ response }: Exchange, core: Core): void {
  const data = core.options.names.map((id) => ({
    id,
    object: "model",
    created: core.created,
    owned_by: "vllm",
    root: core.options.model,
    parent: null,
    max_model_len: core.maxModelLength,
  }));
  sendJson(response, 200, { object: "list", data });
}

export function metrics({ response }: Exchange, core: Core): void {
  const { options, engine, cache, sleepMode } = core;
  const text = renderMetrics(
    core.metrics,
    {
      running: engine.running,
      waiting: engine.waiting,
      cacheUsage: cache.usage,
      sleepLevel: sleepMode.level,
    },
    {
      modelName: options.names[0] ?? options.model,
      blockSize: options.blockSize,
      cacheBlocks: options.knobs.cacheBlocks,
      gpuMemoryUtilization: options.gpuMemoryUtilization,
      prefixCaching: options.prefixCaching,
    },
  );
  send(response, 200, "text/plain; version=0.0.4; charset=utf-8", text);
}

/** Counts a plain prompt or a chat. */
export async function tokenize(exchange: Exchange, core: Core): Promise<void> {
  const body = await readFields(exchange);
  servedName(body, contextOf(exchange, core));
  const prompt = body.text("prompt") ?? chatPrompt(body, body.required("messages"));
  const tokens = encode(prompt);
  sendJson(exchange.response, 200, {
    count: tokens.length,
    max_model_len: core.maxModelLength,
    tokens,
    token_strs: null,
  });
}

/** Anthropic's way of counting. */
export async function countTokens(exchange: Exchange, core: Core): Promise<void> {
  const body = await readFields(exchange);
  servedName(body, contextOf(exchange, core));
  const tokens = encode(promptOfMessages(body)).length;
  roomAfter(tokens, core.maxModelLength);
  sendJson(exchange.response, 200, { input_tokens: tokens });
}

const LEVELS: Readonly<Record<string, SleepLevel>> = { "0": 0, "1": 1, "2": 2 };
const POLICIES: Readonly<Record<string, SleepPolicy>> = { abort: "abort", wait: "wait", keep: "keep" };

export async function sleep({ response, url }: Exchange, core: Core): Promise<void> {
  const level = LEVELS[url.searchParams.get("level") ?? "1"];
  const policy = POLICIES[url.searchParams.get("mode") ?? "abort"];
  if (level === undefined) throw badRequest("level must be 0, 1 or 2", "level");
  if (policy === undefined) throw badRequest("mode must be abort, wait or keep", "mode");
  await core.sleepMode.fallAsleep(level, policy, overSignal(response));
  core.log.info("EngineCore", `It is asleep at level ${level}.`);
  sendEmpty(response, 200);
}

export async function wakeUp({ response, url }: Exchange, core: Core): Promise<void> {
  await core.sleepMode.wake(url.searchParams.getAll("tags"));
  core.log.info("EngineCore", core.sleepMode.isSleeping ? "The weights are awake." : "It is awake.");
  sendEmpty(response, 200);
}

export function isSleeping({ response }: Exchange, core: Core): void {
  sendJson(response, 200, { is_sleeping: core.sleepMode.isSleeping });
}

export function resetPrefixCache({ response }: Exchange, core: Core): void {
  core.cache.clear();
  sendEmpty(response, 200);
}

/** Only what waking from level 2 needs. */
export async function collectiveRpc(exchange: Exchange): Promise<void> {
  const body = await readFields(exchange);
  if (body.text("method") !== "reload_weights")
    throw badRequest("the simulated engine knows the method reload_weights only", "method");
  sendJson(exchange.response, 200, { results: [null] });
}
