// A simulated engine in the test's own process, quick and loaded, and the small client that the tests talk to it with.
import { systemClock } from "../../src/lib/clock.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { readServeOptions } from "../../src/sim/flags.ts";
import { Log } from "../../src/sim/log.ts";
import { startSim } from "../../src/sim/serve.ts";
import { until } from "../support/until.ts";

export interface Rig extends AsyncDisposable {
  readonly url: string;
  /** All it wrote so far, access lines included. */
  log(): string;
  post(path: string, body: unknown, init?: PostOptions): Promise<Response>;
  /** The value of one sample of GET /metrics, chosen by its beginning without the common labels. */
  metric(name: string, labels?: string): Promise<number>;
  stop(): Promise<void>;
}

export interface PostOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export interface RigOptions {
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Serves `test-model` on a free port, a token per millisecond. */
export async function startRig({ flags = [], env = {} }: RigOptions = {}): Promise<Rig> {
  const speed = ["--sim-decode-ms-per-token=1", "--sim-decode-ms-per-sequence=0", "--sim-prefill-ms-per-token=0"];
  const where = ["--host", "127.0.0.1", "--port", "0"];
  const options = readServeOptions(["serve", "test-model", ...where, ...speed, ...flags], env);
  let written = "";
  const note = (text: string) => void (written += text);
  const log = new Log({ out: note, err: note }, systemClock);
  const sim = await startSim(options, { clock: systemClock, random: systemRandom, log });
  const url = sim.address.origin;
  return {
    url,
    log: () => written,
    post: (path, body, init = {}) =>
      fetch(url + path, {
        method: "POST",
        body: typeof body === "string" ? body : JSON.stringify(body),
        ...init,
        headers: { "content-type": "application/json", ...init.headers },
      }),
    async metric(name, labels = "") {
      const text = await (await fetch(`${url}/metrics`)).text();
      const common = `{engine="0",model_name="test-model"${labels === "" ? "" : `,${labels}`}}`;
      const line = text.split("\n").find((candidate) => candidate.startsWith(`${name}${common} `));
      return Number(line?.split(" ").at(-1) ?? Number.NaN);
    },
    stop: () => sim.stop(),
    [Symbol.asyncDispose]: () => sim.stop(),
  };
}

/** A chat of one user turn. */
export function chat(text: string, more: object = {}): object {
  return { model: "test-model", messages: [{ role: "user", content: text }], ...more };
}

export interface SseEvent {
  readonly name: string | undefined;
  /** Undefined for the end mark. */
  readonly data: unknown;
}

/** The events of a whole stream; "[DONE]" stays a string. */
export function eventsOf(text: string): SseEvent[] {
  return text
    .split("\n\n")
    .filter((block) => block !== "")
    .map((block) => {
      const name = /^event: (.*)$/m.exec(block)?.[1];
      const data = /^data: (.*)$/m.exec(block)?.[1] ?? "null";
      return { name, data: data === "[DONE]" ? data : JSON.parse(data) };
    });
}

/** Starts a stream and leaves it after its first bytes, or before any with `beforeBytes`. */
export async function startAndLeave(rig: Rig, path: string, body: unknown): Promise<void> {
  const leaving = new AbortController();
  const before = occurrences(rig.log(), "Received request");
  const pending = rig.post(path, body, { signal: leaving.signal }).then((response) => response.text());
  // The rejection is what this is about.
  const ended = pending.catch(() => undefined);
  await until(() => occurrences(rig.log(), "Received request") > before);
  leaving.abort();
  await ended;
}

export function occurrences(text: string, part: string): number {
  return text.split(part).length - 1;
}

/** The value at a dotted path ("choices.0.text") of parsed JSON. */
export function at(json: unknown, path: string): unknown {
  let value = json;
  for (const key of path.split(".")) value = Object.entries(value ?? {}).find(([name]) => name === key)?.[1];
  return value;
}
