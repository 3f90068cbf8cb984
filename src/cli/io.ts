// What a command touches of the world outside, so that tests can run it without a process.
import { messageOf } from "../errors.ts";
import { systemClock, type Clock } from "../lib/clock.ts";
import type { Environment } from "../config.ts";
import { EXIT } from "./exit-codes.ts";
import { interrupted } from "./failure.ts";

/** The part of a writable stream that is used. */
export interface Output {
  write(text: string): boolean;
  once(event: "drain", listener: () => void): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

export interface Io {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly clock: Clock;
  /** Absent: that of the process, read only by those who need it. */
  readonly env?: Environment;
  /** Aborts at Ctrl-C. Whoever asks for it takes over: the process is then no longer killed by the first one. */
  interruptSignal(): AbortSignal;
}

/** Those of this process. */
export function processIo(): Io {
  endQuietlyWithReader(process.stdout);
  endQuietlyWithReader(process.stderr);
  let interrupt: AbortController | undefined;
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    clock: systemClock,
    interruptSignal() {
      if (interrupt === undefined) {
        const controller = new AbortController();
        process.once("SIGINT", () => controller.abort(interrupted()));
        interrupt = controller;
      }
      return interrupt.signal;
    },
  };
}

/** `aim-engine ps | head -1` has what it wanted when head leaves; a full disk is another matter. */
function endQuietlyWithReader(stream: NodeJS.WriteStream): void {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(EXIT.ok);
    if (stream !== process.stderr) process.stderr.write(`aim-engine: cannot write: ${messageOf(error)}\n`);
    process.exit(EXIT.failure);
  });
}
