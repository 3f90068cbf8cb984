// A client that sees what is on the wire: codings are left as they are, and an answer that was cut is told from a whole one.
import { Agent, type IncomingHttpHeaders, request } from "node:http";
import { onTestFinished } from "vitest";
import { CHAT, MODEL } from "../harness.ts";

export interface Heard {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly text: string;
  /** Whether the answer came to its end as its framing says. */
  readonly whole: boolean;
  /** Statuses of interim answers. */
  readonly interim: readonly number[];
  readonly trailers: NodeJS.Dict<string>;
}

export interface Asking {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as it is; a chat of no messages unless given. */
  readonly body?: string;
  readonly stream?: boolean;
}

/** Asks over connections that are kept and used again; they end with the test. */
export function wireClient(url: URL): (asking?: Asking) => Promise<Heard> {
  const agent = new Agent({ keepAlive: true, maxSockets: Infinity });
  onTestFinished(() => agent.destroy());
  return (asking = {}) => ask(agent, url, asking);
}

function ask(agent: Agent, url: URL, asking: Asking): Promise<Heard> {
  const { method = "POST", path = CHAT, stream = false, headers = {} } = asking;
  const body = asking.body ?? (method === "POST" ? JSON.stringify({ model: MODEL, stream, messages: [] }) : "");
  return new Promise((resolve, reject) => {
    const outgoing = request(new URL(path, url), {
      agent,
      method,
      headers: {
        ...(body === "" ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
        ...headers,
      },
    });
    const interim: number[] = [];
    outgoing.on("information", ({ statusCode }) => interim.push(statusCode));
    outgoing.on("error", reject);
    outgoing.on("response", (incoming) => {
      const parts: Buffer[] = [];
      incoming.on("data", (part: Buffer) => parts.push(part));
      incoming.on("error", () => {}); // `complete` tells it
      incoming.on("close", () => {
        const whole = Buffer.concat(parts);
        resolve({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          body: whole,
          text: whole.toString("utf8"),
          whole: incoming.complete,
          interim,
          trailers: incoming.trailers,
        });
      });
    });
    outgoing.end(body);
  });
}

/** The data of the events of a stream, in order, as clients read them; what is no whole event is left out. */
export function eventsOf(text: string): readonly string[] {
  const blocks = text.split(/(?<=\n)\n/).slice(0, -1);
  const dataOf = (block: string) => block.split("\n").flatMap((line) => /^data: ?(.*)$/.exec(line)?.[1] ?? []);
  return blocks.map((block) => dataOf(block).join("\n")).filter((data) => data !== "");
}

/** How an answer ended, as a client has to take it. */
export function endingOf({ text, whole }: Pick<Heard, "text" | "whole">): "done" | "error event" | "cut" | "unmarked" {
  if (!whole) return "cut";
  const last = eventsOf(text).at(-1);
  if (last === "[DONE]") return "done";
  return last?.startsWith('{"error":') === true ? "error event" : "unmarked";
}
