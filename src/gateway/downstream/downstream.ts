// One request of a client, and the way back to it: what the main line needs, whoever reads the connection.
//
// The door (door.ts) reads the requests for models itself where they are spelled as clients spell them, and leaves every other
// connection to Node's HTTP server: what is rare or odd costs a little more, and is read by a parser that knows it all.

export interface Downstream {
  /** Names in any case and values in turn, repeated ones included. */
  readonly rawHeaders: readonly string[];
  /** Whether all of the request has come. */
  readonly isWhole: boolean;
  /** Whether nothing that is said would be heard: the client left, or the answer is over. */
  readonly isGone: boolean;
  /** Whether chunks can go on as they are framed, by `frames`: the client gets chunks too. */
  readonly takesFrames: boolean;

  /** By name in lower case. */
  header(name: string): string | undefined;

  /** To be called once, before anything is awaited: nobody keeps a body that is not asked for. Rejects with `request_too_large` as early as that is known, and with `client_closed_request`. */
  readBody(maxBytes: number): Promise<Buffer>;

  /** What is to happen when the client leaves before its answer is over; undefined: nothing any more. */
  onGone(listener: (() => void) | undefined): void;

  /** Begins an answer whose body follows; sent by the next `flush` together with what comes before that. */
  begin(status: number, headers: readonly string[]): void;

  /** Content of the body. */
  content(content: Buffer | string): void;

  /** Whole chunks as they came over the wire. */
  frames(bytes: Buffer): void;

  /** Sends what was said; `kept`: the bytes are still in use, `full`: and nothing should follow before `onDrain` calls. */
  flush(): "free" | "kept" | "full";

  onDrain(resume: () => void): void;

  /** Ends the answer that was begun. */
  end(): void;

  /**
   * A whole answer; one character of `body` for each byte. Where the request has not come to its end it is the last one of
   * this connection, which stays open a while for the client to stop sending: else it would not get to see the answer.
   */
  answer(status: number, headers: readonly string[], body: string): void;

  /** Ends the connection, so that the answer cannot look complete. */
  cut(): void;
}

/** How long to go on reading a request that was answered before its end. */
export const LINGER_MS = 1000;
