// Requests to backends over connections that are kept for the next one. Our own instead of a library's, since what is passed
// on here passes on as it came: see docs/decisions/0006-own-upstream-connections.md.
import type { Clock } from "../../lib/clock.ts";
import { type AnswerSink, Connection } from "./connection.ts";

export interface UpstreamOptions {
  readonly clock: Clock;
  /** How long an unused connection is kept. */
  readonly idleMs: number;
}

export interface Call {
  /** The same object for the same backend: its connections are found by it. */
  readonly address: URL;
  /** As the first line of the request has it. */
  readonly path: string;
  /** Names and values in turn: what goes out beside `host` and `content-length`. Latin-1 without line breaks, as Node hands headers out. */
  readonly headers: readonly string[];
  readonly body: Buffer;
  /** Not over a connection that served before: such a one may just be closing. */
  readonly fresh?: boolean;
  /** Where a connection has to be made for it. */
  readonly connectTimeoutMs: number;
}

/** A request on its way. */
export interface Sending {
  abort(sink: AnswerSink): void;
  resume(sink: AnswerSink): void;
}

/** A body up to this size goes out in one piece with its head. */
const JOINED_BYTES = 16 * 1024;

export class Upstream {
  readonly #options: UpstreamOptions;
  /** Connections go with the replica whose address it is: unused ones end by themselves. */
  readonly #backends = new WeakMap<URL, Backend>();

  constructor(options: UpstreamOptions) {
    this.#options = options;
  }

  /** POSTs; the answer, or why there is none, is told to `sink`. Only `onSent` may be called before this returns. */
  send(call: Call, sink: AnswerSink): Sending {
    let backend = this.#backends.get(call.address);
    if (backend === undefined) {
      backend = new Backend(call.address, this.#options);
      this.#backends.set(call.address, backend);
    }
    return backend.send(call, sink);
  }
}

class Backend {
  readonly #address: { readonly host: string; readonly port: number };
  readonly #hostHeader: string;
  readonly #options: UpstreamOptions;
  /** The one used last is taken first. */
  readonly #idle: Connection[] = [];

  constructor(address: URL, options: UpstreamOptions) {
    this.#address = { host: address.hostname.replace(/^\[|\]$/g, ""), port: Number(address.port || 80) };
    this.#hostHeader = address.host;
    this.#options = options;
  }

  send(call: Call, sink: AnswerSink): Sending {
    const connection = this.#take(call);
    connection.send(this.#render(call), sink);
    return connection;
  }

  #take({ fresh, connectTimeoutMs }: Call): Connection {
    if (fresh === true) return this.#open(connectTimeoutMs);
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) if (idle.isUsable) return idle;
    return this.#open(connectTimeoutMs);
  }

  #open(connectTimeoutMs: number): Connection {
    return new Connection(this.#address, {
      ...this.#options,
      connectTimeoutMs,
      onIdle: (connection) => this.#idle.push(connection),
      onClose: (connection) => this.#drop(connection),
    });
  }

  #drop(connection: Connection): void {
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  #render({ path, headers, body }: Call): [Buffer] | [Buffer, Buffer] {
    let head = `POST ${path} HTTP/1.1\r\nhost: ${this.#hostHeader}\r\ncontent-length: ${body.length}\r\n`;
    for (let at = 0; at + 1 < headers.length; at += 2) head += `${headers[at]}: ${headers[at + 1]}\r\n`;
    head += "\r\n";
    if (body.length > JOINED_BYTES) return [Buffer.from(head, "latin1"), body];
    const joined = Buffer.allocUnsafe(head.length + body.length);
    joined.write(head, 0, "latin1");
    joined.set(body, head.length);
    return [joined];
  }
}
