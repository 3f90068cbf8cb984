// The program as others start it: loading, signals, crashes and exit codes of a real process.
import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { until } from "../support/until.ts";

const MAIN = new URL("../../src/sim/main.ts", import.meta.url).pathname;

interface Program {
  readonly child: ChildProcess;
  readonly output: () => string;
  /** Resolves with the exit code, or with the name of the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
}

const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill("SIGKILL");
});

function start(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Program {
  const child = spawn(process.execPath, [MAIN, ...argv], { env, stdio: ["ignore", "pipe", "pipe"] });
  started.push(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  const { promise: ended, resolve } = Promise.withResolvers<number | NodeJS.Signals | null>();
  child.once("close", (code, signal) => resolve(code ?? signal));
  return { child, output: () => output, ended };
}

function serve(flags: readonly string[], env: Readonly<Record<string, string>> = {}): Program {
  return start(["serve", "org/model", "--host", "127.0.0.1", "--port", "0", ...flags], env);
}

/** Where it listens, once it is ready. */
function ready({ output }: Program): Promise<string> {
  return until(() => /Uvicorn running on (http:\S+) /.exec(output())?.[1]);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await until(() => server.listening);
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return address !== null && typeof address === "object" ? address.port : 0;
}

describe("the program", () => {
  it("refuses connections while it loads, then serves, and exits with 0 on SIGTERM", async () => {
    const port = await freePort();
    const program = serve(["--sim-load-seconds=0.5", "--port", String(port)]);
    await until(() => program.output().includes("50% Completed"));
    await expect(fetch(`http://127.0.0.1:${port}/health`)).rejects.toMatchObject({
      cause: { code: "ECONNREFUSED" },
    });
    const url = await ready(program);
    expect(program.output()).toContain("Application startup complete.");
    expect((await fetch(`${url}/health`)).status).toBe(200);
    const stream = await fetch(`${url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ prompt: "x", max_tokens: 5000, ignore_eos: true, stream: true }),
    });
    const stoppedAt = performance.now();
    program.child.kill("SIGTERM");
    await expect(stream.text()).rejects.toThrow();
    expect(await program.ended).toBe(0);
    expect(performance.now() - stoppedAt).toBeLessThan(1000);
    expect(program.output()).toContain("Aborted request cmpl-");
  });

  it("says to the millisecond since when it answers", async () => {
    const before = Date.now();
    const program = serve(["--sim-load-seconds=0"]);
    const said = await until(() => /It answers since (\S+Z)\./.exec(program.output())?.[1]);
    expect(Date.parse(said)).toBeGreaterThanOrEqual(before);
    expect(Date.parse(said)).toBeLessThanOrEqual(Date.now());
  });

  it("exits with 0 on SIGINT", async () => {
    const program = serve(["--sim-load-seconds=0"]);
    await ready(program);
    program.child.kill("SIGINT");
    expect(await program.ended).toBe(0);
  });

  it.each([
    ["SIGTERM", 143],
    ["SIGINT", 130],
  ] as const)("ends at once on %s while it loads", async (signal, code) => {
    const program = serve(["--sim-load-seconds=60"]);
    await until(() => program.output().includes("API server version"));
    program.child.kill(signal);
    expect(await program.ended).toBe(code);
  });

  it("waits for ever when it never gets ready", async () => {
    const program = serve([], { AIM_SIM_LOAD_SECONDS: "0", AIM_SIM_NEVER_READY: "1" });
    await until(() => program.output().includes("50% Completed"));
    program.child.kill("SIGTERM");
    expect(await program.ended).toBe(143);
  });

  it.each([
    ["before ready", { AIM_SIM_CRASH_BEFORE_READY: "0.1", AIM_SIM_EXIT_CODE: "7" }, 7, "failed to start"],
    ["after ready", { AIM_SIM_CRASH_AFTER_READY: "0.1", AIM_SIM_LOAD_SECONDS: "0" }, 1, "startup complete"],
    ["out of memory", { AIM_SIM_OOM: "1", AIM_SIM_LOAD_SECONDS: "0" }, 1, "HIP out of memory"],
  ])("crashes %s", async (_, env, code, line) => {
    const program = serve([], env);
    expect(await program.ended).toBe(code);
    expect(program.output()).toContain(line);
  });

  it("ignores SIGTERM when told to, and dies of SIGKILL", async () => {
    const program = serve([], { AIM_SIM_IGNORE_SIGTERM: "1", AIM_SIM_LOAD_SECONDS: "0" });
    const url = await ready(program);
    program.child.kill("SIGTERM");
    await until(() => program.output().includes("SIGTERM is ignored."));
    expect((await fetch(`${url}/health`)).status).toBe(200);
    program.child.kill("SIGKILL");
    expect(await program.ended).toBe("SIGKILL");
  });

  it("floods its log while it loads and after", async () => {
    const program = serve([], { AIM_SIM_LOG_FLOOD: "2000", AIM_SIM_LOAD_SECONDS: "0" });
    await until(() => program.output().includes("Flood line 500:"));
    program.child.kill("SIGTERM");
    expect(await program.ended).toBe(0);
  });

  it("lives on when the reader of its log goes away", async () => {
    const program = serve(["--sim-load-seconds=0"]);
    const url = await ready(program);
    program.child.stderr?.destroy();
    program.child.stdout?.destroy();
    for (let ask = 0; ask < 3; ask++) expect((await fetch(`${url}/health`)).status).toBe(200);
    program.child.kill("SIGTERM");
    await until(() => program.child.exitCode === 0);
  });

  it("fails when its port is taken", async () => {
    const first = serve(["--sim-load-seconds=0"]);
    const { port } = new URL(await ready(first));
    const second = serve(["--sim-load-seconds=0", "--port", port]);
    expect(await second.ended).toBe(1);
    expect(second.output()).toContain("EADDRINUSE");
    first.child.kill("SIGTERM");
    expect(await first.ended).toBe(0);
  });

  it.each([
    [["serve", "m", "--port", "abc"], {}, "vllm serve: error: argument --port: invalid int value: 'abc'"],
    [["serve"], {}, "the following arguments are required: model_tag"],
    [["serve", "m"], { AIM_SIM_OOM: "maybe" }, "variable AIM_SIM_OOM: expected 1 or 0, got 'maybe'"],
  ])("exits with 2 as argparse does: %j", async (argv, env, message) => {
    const program = start(argv, env);
    expect(await program.ended).toBe(2);
    expect(program.output()).toMatch(/^usage: vllm serve/);
    expect(program.output()).toContain(message);
  });

  it.each([
    [["--version"], "0.22.0+sim\n"],
    [["serve", "--sim-help"], "AIM_SIM_LOAD_SECONDS"],
    [["--help"], "usage: vllm serve"],
  ])("prints and exits with 0: %j", async (argv, text) => {
    const program = start(argv);
    expect(await program.ended).toBe(0);
    expect(program.output()).toContain(text);
  });
});
