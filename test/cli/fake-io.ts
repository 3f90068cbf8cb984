// A terminal that remembers what was written to it, and a Ctrl-C that the test presses.
import { interrupted } from "../../src/cli/failure.ts";
import type { Io, Output } from "../../src/cli/io.ts";
import { run } from "../../src/cli/program.ts";
import { systemClock, type Clock } from "../../src/lib/clock.ts";

export interface FakeIoOptions {
  readonly url?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly tty?: boolean;
  readonly columns?: number;
  readonly clock?: Clock;
}

export function fakeIo(options: FakeIoOptions = {}) {
  const ctrlC = new AbortController();
  const written = { stdout: "", stderr: "" };
  const output = (name: "stdout" | "stderr"): Output => ({
    isTTY: options.tty ?? false,
    ...(options.columns === undefined ? {} : { columns: options.columns }),
    write(text) {
      written[name] += text;
      return true;
    },
    once: () => undefined,
  });
  const io: Io = {
    stdout: output("stdout"),
    stderr: output("stderr"),
    clock: options.clock ?? systemClock,
    env: { ...(options.url === undefined ? {} : { AIM_ENGINE_URL: options.url }), ...options.env },
    interruptSignal: () => ctrlC.signal,
  };
  return { io, written, pressCtrlC: () => ctrlC.abort(interrupted()) };
}

/** Runs one command line to its end. */
export async function runCli(argv: readonly string[], options: FakeIoOptions = {}) {
  const { io, written } = fakeIo(options);
  const code = await run(argv, io);
  return { code, ...written };
}
