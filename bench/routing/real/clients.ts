// Those who ask the real gateway: each request at its time, streamed, its first token timed.
import { z } from "zod";
import { sleep, systemClock } from "../../../src/lib/clock.ts";
import type { Ask } from "../workload.ts";
import { promptOf } from "./prompt.ts";

/** What came of a request. */
export interface Answered {
  readonly waitMs: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
}

const Event = z.object({
  usage: z
    .object({
      prompt_tokens: z.number(),
      prompt_tokens_details: z.object({ cached_tokens: z.number() }).nullish(),
    })
    .nullish(),
});

/** Resolves when all are answered; rejects when one is not. */
export function askAll(
  asks: readonly Ask[],
  { url, model }: { readonly url: string; readonly model: string },
): Promise<Answered[]> {
  const start = systemClock.now();
  return Promise.all(
    asks.map(async (ask) => {
      const body = { model, prompt: promptOf(ask), ...sampling(ask) };
      const dueAt = start + ask.atMs;
      await sleep(systemClock, Math.max(0, dueAt - systemClock.now()));
      const response = await fetch(`${url}/v1/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      return read(response, dueAt);
    }),
  );
}

function sampling({ outputTokens }: Ask): object {
  return { max_tokens: outputTokens, ignore_eos: true, stream: true, stream_options: { include_usage: true } };
}

/** The wait counts from when the request was due: what delays the client delays all policies alike. */
async function read(response: Response, dueAt: number): Promise<Answered> {
  if (!response.ok || response.body === null) throw new Error(`${response.status}: ${await response.text()}`);
  let text = "";
  let waitMs = NaN;
  const decoder = new TextDecoder();
  for await (const chunk of response.body) {
    text += decoder.decode(chunk, { stream: true });
    if (Number.isNaN(waitMs) && text.includes("data: ")) waitMs = systemClock.now() - dueAt;
  }
  const events = text.split("\n\n").filter((event) => event.startsWith("data: {"));
  const { usage } = Event.parse(JSON.parse(events.at(-1)?.slice("data: ".length) ?? "{}"));
  if (!text.endsWith("data: [DONE]\n\n") || !usage) throw new Error(`an answer broke off: ${text.slice(-200)}`);
  return {
    waitMs,
    promptTokens: usage.prompt_tokens,
    cachedTokens: usage.prompt_tokens_details?.cached_tokens ?? 0,
  };
}
