// What is asked of each proxy.
import { KEY, MODEL } from "./variant.ts";

export interface Workload {
  readonly name: string;
  readonly about: string;
  readonly connections: number;
  /** Requests per second, at random times; a closed loop when absent. */
  readonly rate?: number;
  /** Events of each stream, and the time between them in microseconds; a plain answer of 1 KB when absent. */
  readonly stream?: { readonly events: number; readonly gapUs: number };
  readonly prompt: Prompt;
  readonly seconds: number;
  readonly warmupSeconds: number;
}

interface Prompt {
  /** Of the whole body. */
  readonly bytes: number;
  /** As the Python SDK sends it: the messages first; with escapes in the text. */
  readonly modelLast?: boolean;
}

const SMALL: Prompt = { bytes: 1024 };
const PACED = { events: 250, gapUs: 20_000 };

/**
 * Before anything is measured, each in turn: what is compiled while it runs has to be, down to the last step, which takes V8
 * some ten seconds of work. A gateway runs for weeks.
 */
export const WARM_UPS: readonly Workload[] = [
  { name: "warm-json", about: "", connections: 64, prompt: SMALL, seconds: 8, warmupSeconds: 0.5 },
  {
    name: "warm-streams",
    about: "",
    connections: 100,
    stream: { events: 50, gapUs: 5_000 },
    prompt: SMALL,
    seconds: 8,
    warmupSeconds: 0.5,
  },
];

export const WORKLOADS: readonly Workload[] = [
  {
    name: "json",
    about: "1 KB in, 1 KB out, 64 connections, as fast as it goes",
    connections: 64,
    prompt: SMALL,
    seconds: 4,
    warmupSeconds: 0.5,
  },
  {
    name: "rate",
    about: "1 KB in, 1 KB out, 500 requests/s at random times",
    connections: 64,
    rate: 500,
    prompt: SMALL,
    seconds: 4,
    warmupSeconds: 0.5,
  },
  {
    name: "streams-200",
    about: "200 streams, 50 events/s each, 250 events of 250 bytes",
    connections: 200,
    stream: PACED,
    prompt: SMALL,
    seconds: 4,
    warmupSeconds: 1,
  },
  {
    name: "streams-1000",
    about: "1,000 streams, 50 events/s each, 250 events of 250 bytes",
    connections: 1000,
    stream: PACED,
    prompt: SMALL,
    seconds: 4,
    warmupSeconds: 1.3,
  },
  {
    name: "unthrottled",
    about: "64 streams of 5,000 events, as fast as they are taken",
    connections: 64,
    stream: { events: 5_000, gapUs: 0 },
    prompt: SMALL,
    seconds: 2,
    warmupSeconds: 0.5,
  },
  {
    name: "prompt-100k",
    about: "100 KB in, 1 KB out, 32 connections, as fast as it goes",
    connections: 32,
    prompt: { bytes: 100 * 1024 },
    seconds: 2,
    warmupSeconds: 0.5,
  },
  {
    name: "prompt-100k-last",
    about: "the same with escapes, and the model after the messages",
    connections: 32,
    prompt: { bytes: 100 * 1024, modelLast: true },
    seconds: 2,
    warmupSeconds: 0.5,
  },
  {
    name: "prompt-4m",
    about: "4 MB in, 1 KB out, 4 connections, as fast as it goes",
    connections: 4,
    prompt: { bytes: 4 * 1024 * 1024 },
    seconds: 2,
    warmupSeconds: 0.5,
  },
];

/** So many streams as in `streams-200`, for the search of how many a proxy can take. */
export function pacedStreams(count: number): Workload {
  const about = `${count} streams, 50 events/s each`;
  return {
    name: "knee",
    about,
    connections: count,
    stream: PACED,
    prompt: SMALL,
    seconds: 2,
    warmupSeconds: 1.2,
  };
}

/** The bytes of one request of a workload. */
export function requestOf({ stream, prompt }: Workload, port: number, headers: readonly string[]): Buffer {
  const body = bodyOf(prompt, stream);
  const lines = [
    "POST /v1/chat/completions HTTP/1.1",
    `Host: 127.0.0.1:${port}`,
    "User-Agent: OpenAI/Python 2.8.0",
    "Accept: application/json",
    `Authorization: Bearer ${KEY}`,
    "Content-Type: application/json",
    ...headers,
    `Content-Length: ${body.length}`,
    "",
    "",
  ];
  return Buffer.concat([Buffer.from(lines.join("\r\n")), body]);
}

/**
 * The JSON of a request. The backend looks for its orders at the beginning of a body; the load generator writes the number of events into the gap.
 */
export function bodyOf({ bytes, modelLast = false }: Prompt, stream: Workload["stream"]): Buffer {
  const orders =
    stream === undefined ? "" : `"stream":true,"max_tokens":${"1".padStart(7)},"user":"gap=${stream.gapUs}",`;
  const model = `"model":"${MODEL}"`;
  const sentence = modelLast
    ? 'He said \\"yes\\".\\n\\tA caf\\u00e9, then: '
    : "The quick brown fox jumps over it all. ";
  const shape = (text: string) => {
    const messages = `"messages":[{"role":"user","content":"${text}"}]`;
    return modelLast ? `{${messages},${model}}` : `{${model},${orders}${messages}}`;
  };
  const room = bytes - shape("").length;
  const whole = sentence.repeat(Math.floor(room / sentence.length));
  return Buffer.from(shape(whole + "x".repeat(Math.max(0, room - whole.length))));
}
