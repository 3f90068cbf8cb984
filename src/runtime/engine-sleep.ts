// vLLM's sleep mode over HTTP: putting an engine to sleep, waking it in the order that its level needs, asking whether it sleeps.
import { AimError, isAimError } from "../errors.ts";
import { sleep, type Clock } from "../lib/clock.ts";
import { createEngineHttp, type EngineAnswer as Answer, type EngineHttp } from "./engine-http.ts";

export interface EngineSleep {
  /** Resolves when it says that it sleeps. Nothing may be in flight there. Rejects with `runtime_failed`, or as the signal says. */
  fallAsleep(address: URL, level: 1 | 2, signal: AbortSignal): Promise<void>;
  /** Resolves when it says that it is awake. For one whose level is not known, 2 is right as well. */
  wakeUp(address: URL, level: 1 | 2, signal: AbortSignal): Promise<void>;
  /** False also for one that knows no sleep. Rejects when it does not answer. */
  isAsleep(address: URL, signal: AbortSignal): Promise<boolean>;
  close(): Promise<void>;
}

/** Eight ranks were seen to take 100 s to fall asleep, and weights may come from a slow disk. */
const CALL_TIMEOUT_MS = 600_000;
const QUESTION_TIMEOUT_MS = 10_000;
/** From the answer to a call until the engine says what the call was for. */
const SETTLE_MS = 60_000;
const LOOK_EVERY_MS = 200;
const MAX_BODY_BYTES = 64 * 1024;
const QUOTE_LENGTH = 200;

interface Call {
  readonly path: string;
  readonly post?: Readonly<Record<string, unknown>>;
}

/** Level 1 has its weights in memory; level 2 loads them again, and only then is there anything to fill its KV cache with. */
const WAKE_CALLS: Readonly<Record<1 | 2, readonly Call[]>> = {
  1: [{ path: "/wake_up", post: {} }],
  2: [
    { path: "/wake_up?tags=weights", post: {} },
    { path: "/collective_rpc", post: { method: "reload_weights" } },
    { path: "/wake_up?tags=kv_cache", post: {} },
  ],
};

/** With connections of its own. */
export function createEngineSleep({ clock }: { readonly clock: Clock }): EngineSleep {
  const http = createEngineHttp(clock);
  const askAt =
    (address: URL, signal: AbortSignal): Ask =>
    (call) =>
      ask(http, { ...call, address, signal });
  return {
    async fallAsleep(address, level, signal) {
      const engine = askAt(address, signal);
      await require200(engine, { path: `/sleep?level=${level}`, post: {} });
      await until(clock, engine, { asleep: true }, signal);
    },
    async wakeUp(address, level, signal) {
      const engine = askAt(address, signal);
      for (const call of WAKE_CALLS[level]) await require200(engine, call);
      await until(clock, engine, { asleep: false }, signal);
    },
    isAsleep: (address, signal) => saysAsleep(askAt(address, signal)),
    close: () => http.close(),
  };
}

type Ask = (call: Call) => Promise<Answer>;

async function saysAsleep(engine: Ask): Promise<boolean> {
  const { status, body } = await engine({ path: "/is_sleeping" });
  return status === 200 && /"is_sleeping"\s*:\s*true/.test(body);
}

async function until(clock: Clock, engine: Ask, wanted: { readonly asleep: boolean }, signal: AbortSignal) {
  const giveUpAt = clock.now() + SETTLE_MS;
  while ((await saysAsleep(engine)) !== wanted.asleep) {
    const state = wanted.asleep ? "awake" : "asleep";
    if (clock.now() >= giveUpAt)
      throw new AimError(
        "runtime_failed",
        `its engine took the call and is still ${state} ${SETTLE_MS / 1000} s later`,
      );
    await sleep(clock, LOOK_EVERY_MS, signal);
  }
}

async function require200(engine: Ask, call: Call): Promise<void> {
  const { status, body } = await engine(call);
  if (status === 200) return;
  const quote = body.replaceAll(/\s+/g, " ").trim().slice(0, QUOTE_LENGTH);
  const remedy =
    status === 404 ? "; sleep needs --enable-sleep-mode and VLLM_SERVER_DEV_MODE=1, and an image that has it" : "";
  throw new AimError("runtime_failed", `${call.path} answered ${status}${quote === "" ? "" : `: ${quote}`}${remedy}`);
}

async function ask(
  http: EngineHttp,
  call: Call & { readonly address: URL; readonly signal: AbortSignal },
): Promise<Answer> {
  const timeoutMs = call.post === undefined ? QUESTION_TIMEOUT_MS : CALL_TIMEOUT_MS;
  try {
    return await http.ask({ ...call, timeoutMs, late: "runtime_failed", maxBytes: MAX_BODY_BYTES });
  } catch (error) {
    call.signal.throwIfAborted();
    if (isAimError(error)) throw error;
    throw new AimError("runtime_failed", `${call.path} got no answer`, { cause: error });
  }
}
