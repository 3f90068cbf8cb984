// The CLI's way to the gateway: the admin API over HTTP, on an agent of its own.
import { Agent, request, type Dispatcher } from "undici";
import type { ClientSettings } from "../config.ts";
import { messageOf } from "../errors.ts";
import { EXIT, exitCodeOf } from "./exit-codes.ts";
import { CliError } from "./failure.ts";

const CONNECT_TIMEOUT_MS = 5_000;
const ANSWER_TIMEOUT_MS = 30_000;

const NOT_RUNNING = 'Is it running? Start it with "aim-engine serve", or set AIM_ENGINE_URL if it listens elsewhere.';

const HINTS: Readonly<Record<string, string>> = {
  invalid_api_key: "Set AIM_ENGINE_API_KEY to a key of the gateway's configuration.",
  model_not_found: 'See "aim-engine models".',
  replica_not_found: 'See "aim-engine ps".',
  no_capacity: 'See who holds what with "aim-engine gpus", and make room with "aim-engine stop NAME".',
  model_unavailable: 'See "aim-engine models" and "aim-engine recipes".',
  shutting_down: "The gateway is stopping: try again when it is back.",
};

interface Ask {
  readonly method?: "POST" | "DELETE";
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Until the head of the answer; unlimited where absent. */
  readonly headersTimeout?: number;
}

export class AdminClient {
  readonly #base: URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #signal: AbortSignal;
  readonly #agent = new Agent({ connect: { timeout: CONNECT_TIMEOUT_MS } });

  /** The signal ends whatever is under way; what it aborts with is what calls reject with. */
  constructor(settings: ClientSettings, signal: AbortSignal) {
    this.#base = baseUrl(settings.url);
    this.#headers = settings.apiKey === undefined ? {} : { authorization: `Bearer ${plainKey(settings.apiKey)}` };
    this.#signal = signal;
  }

  get url(): string {
    return this.#base.href;
  }

  /** The JSON that the gateway answers. */
  async get(path: string, options: { readonly timeoutMs?: number } = {}): Promise<unknown> {
    return this.#json(await this.#request(path, { headersTimeout: options.timeoutMs ?? ANSWER_TIMEOUT_MS }));
  }

  /** Changes take as long as they take: only the signal ends them early. */
  async post(path: string, body?: unknown): Promise<unknown> {
    return this.#json(await this.#request(path, { method: "POST", ...jsonBody(body) }));
  }

  async delete(path: string): Promise<unknown> {
    return this.#json(await this.#request(path, { method: "DELETE" }));
  }

  /** The lines of an answer as they come; with a `post`, of the answer to that. */
  async *lines(path: string, options: { readonly accept: string; readonly post?: unknown }): AsyncGenerator<string> {
    const { headers, ...ask } = jsonBody(options.post);
    const response = await this.#request(path, {
      ...ask,
      ...(options.post === undefined ? { headersTimeout: ANSWER_TIMEOUT_MS } : { method: "POST" }),
      headers: { accept: options.accept, ...headers },
    });
    const decoder = new TextDecoder();
    let rest = "";
    try {
      for await (const chunk of response.body) {
        const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
        rest = lines.pop() ?? "";
        yield* lines;
      }
    } catch (error) {
      throw this.#lost(error);
    }
    if (rest !== "") yield rest;
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }

  async #request(path: string, ask: Ask): Promise<Dispatcher.ResponseData> {
    const url = this.#urlOf(path);
    let response: Dispatcher.ResponseData;
    try {
      response = await request(url, {
        method: "GET",
        headersTimeout: 0,
        bodyTimeout: 0,
        ...ask,
        headers: { accept: "application/json", ...this.#headers, ...ask.headers },
        dispatcher: this.#agent,
        signal: this.#signal,
      });
    } catch (error) {
      throw this.#lost(error);
    }
    if (response.statusCode >= 300) throw this.#refused(response.statusCode, await this.#json(response));
    return response;
  }

  /** URLs read "." and ".." as ways through folders, encoded or not: no name can be said so. */
  #urlOf(path: string): URL {
    const [name] = /(?<=\/)\.\.?(?=[/?]|$)/.exec(path) ?? [];
    if (name !== undefined) throw new CliError(EXIT.notFound, `nothing is called "${name}"`);
    return new URL(path, this.#base);
  }

  async #json(response: Dispatcher.ResponseData): Promise<unknown> {
    const text = await response.body.text().catch((error: unknown) => {
      throw this.#lost(error);
    });
    try {
      return JSON.parse(text);
    } catch (cause) {
      const message = `what answers at ${this.#base.origin} is no AIM Engine gateway (status ${response.statusCode}, no JSON)`;
      throw new CliError(EXIT.unreachable, message, {
        hint: "Set AIM_ENGINE_URL to the gateway's address.",
        cause,
      });
    }
  }

  /** Our own end (Ctrl-C, a time limit) is told apart from the network's. */
  #lost(error: unknown): unknown {
    if (this.#signal.aborted) return this.#signal.reason;
    const message = `cannot reach the gateway at ${this.#base.origin} (${reasonOf(error)})`;
    return new CliError(EXIT.unreachable, message, { hint: NOT_RUNNING, cause: error });
  }

  #refused(status: number, body: unknown): CliError {
    const { code, message } = errorOf(body);
    if (message === undefined) {
      const stranger = `what answers at ${this.#base.origin} is no AIM Engine gateway (status ${status})`;
      return new CliError(EXIT.unreachable, stranger, {
        hint: "Set AIM_ENGINE_URL to the gateway's address.",
      });
    }
    // What to do is often known better where it was refused.
    const hint = message.includes("aim-engine ") ? undefined : HINTS[code];
    return new CliError(exitCodeOf(code), message, { hint });
  }
}

function jsonBody(body: unknown): Pick<Ask, "body" | "headers"> {
  return body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
}

/** A path prefix of the URL (behind a reverse proxy) is kept: paths are given without a leading slash. */
function baseUrl(text: string): URL {
  const url = URL.parse(text);
  if (url?.protocol !== "http:" && url?.protocol !== "https:") {
    throw new CliError(EXIT.usage, `AIM_ENGINE_URL is "${text}", which is no http or https URL`, {
      hint: "Set it to the gateway's address, e.g. http://127.0.0.1:8000.",
    });
  }
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}

/** What no header can hold is no key; it is not repeated, since most of it may be one. */
function plainKey(text: string): string {
  if (/^[!-~]+$/.test(text)) return text;
  const message = "AIM_ENGINE_API_KEY holds a space, a line break or another character that no key has";
  throw new CliError(EXIT.usage, message, { hint: "Set it to a key of the gateway's configuration." });
}

function errorOf(body: unknown): { readonly code: string; readonly message: string | undefined } {
  const error = field(body, "error");
  const [code, message] = [field(error, "code"), field(error, "message")];
  return {
    code: typeof code === "string" ? code : "",
    message: typeof message === "string" ? message : undefined,
  };
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

/** "connection refused" reads better than what each layer says; a failed "localhost" is an AggregateError without text. */
function reasonOf(error: unknown): string {
  const code = field(error, "code");
  if (code === "ECONNREFUSED") return "connection refused";
  if (code === "ENOTFOUND") return "no such host";
  if (code === "UND_ERR_CONNECT_TIMEOUT" || code === "UND_ERR_HEADERS_TIMEOUT") return "no answer in time";
  return messageOf(error);
}
