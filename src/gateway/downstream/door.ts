// Where connections come in: plain requests for models are read here, all else is Node's.
import type { Server } from "node:http";
import type { Socket } from "node:net";
import type { Clock, Timer } from "../../lib/clock.ts";
import { UnderWay } from "../under-way.ts";
import type { Downstream } from "./downstream.ts";
import { type ConnectionHost, type ConnectionLimits, PlainConnection } from "./plain-connection.ts";

/** What an app answers without a router. */
export interface DirectWay {
  /** As the first line of a POST has them. */
  readonly targets: ReadonlySet<string>;
  /** Never throws. */
  serve(target: string, request: Downstream): void;
}

/** How often it is looked whose time is up. */
const LOOK_EVERY_MS = 5_000;

export class Door implements ConnectionHost {
  readonly clock: Clock;
  readonly keepAliveLines: string;
  readonly #limits: ConnectionLimits;
  readonly #direct: DirectWay;
  readonly #toNode: (socket: Socket) => void;
  readonly #connections = new UnderWay<PlainConnection>();
  #timer: Timer | undefined;
  #isClosing = false;
  #date = "";
  #dateMs = 0;

  /** Takes the place of the server's own parser, which from then on gets what is handed over. */
  constructor(
    server: Server,
    direct: DirectWay,
    options: { readonly clock: Clock; readonly limits: ConnectionLimits },
  ) {
    this.clock = options.clock;
    this.#limits = options.limits;
    this.keepAliveLines = `connection: keep-alive\r\nkeep-alive: timeout=${Math.floor(options.limits.idleMs / 1000)}\r\n`;
    this.#direct = direct;
    const parsers = server.listeners("connection");
    this.#toNode = (socket) => parsers.forEach((parser) => Reflect.apply(parser, server, [socket]));
    server.removeAllListeners("connection");
    server.on("connection", (socket: Socket) => this.#take(socket));
  }

  get targets(): ReadonlySet<string> {
    return this.#direct.targets;
  }

  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** Many answers fall into one second, and rendering it is dear. */
  get date(): string {
    const now = this.clock.wallNow();
    if (now - this.#dateMs >= 1000 || now < this.#dateMs) {
      this.#dateMs = now - (now % 1000);
      this.#date = new Date(now).toUTCString();
    }
    return this.#date;
  }

  serve(target: string, request: Downstream): void {
    this.#direct.serve(target, request);
  }

  handOver(socket: Socket, unread: Buffer): void {
    socket.pause();
    socket.unshift(unread);
    this.#toNode(socket);
    socket.resume();
  }

  forget(connection: PlainConnection): void {
    this.#connections.delete(connection);
    if (this.#connections.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** From now on each answer is the last of its connection; those that wait for a request end. */
  close(): void {
    this.#isClosing = true;
    for (const connection of this.#connections.all()) connection.closeIdle();
  }

  cutAll(): void {
    for (const { socket } of this.#connections.all()) socket.destroy();
  }

  #take(socket: Socket): void {
    this.#connections.add(new PlainConnection(socket, this));
    this.#timer ??= this.clock.setTimer(LOOK_EVERY_MS, () => this.#look());
  }

  #look(): void {
    this.#timer = this.clock.setTimer(LOOK_EVERY_MS, () => this.#look());
    const now = this.clock.now();
    for (const connection of this.#connections.all()) connection.checkTime(now, this.#limits);
  }
}
