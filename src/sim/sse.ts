// Server-sent events as vLLM writes them.

/** One unnamed event. */
export function event(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}

/** An event that says its name twice, as those of /v1/responses and /v1/messages do. */
export function namedEvent(type: string, data: object): string {
  return `event: ${type}\n${event({ type, ...data })}`;
}

/** What ends a stream of unnamed events, after an error too. */
export const DONE = "data: [DONE]\n\n";
