import { describe, expect, it } from "vitest";
import { readServeOptions } from "../../src/sim/flags.ts";
import { load, type LoadFailure } from "../../src/sim/load.ts";
import { Log } from "../../src/sim/log.ts";
import { FakeClock, settle } from "../support/clock.ts";

function begin(...flags: string[]) {
  const clock = new FakeClock();
  const options = readServeOptions(["serve", "org/model", "--sim-load-seconds", "100", ...flags], {});
  let text = "";
  const note = (part: string) => void (text += part);
  const stop = new AbortController();
  const state: { ended: boolean; failure?: LoadFailure | undefined; error?: unknown } = { ended: false };
  void load(options, new Log({ out: note, err: note }, clock), clock, stop.signal).then(
    (failure) => Object.assign(state, { ended: true, failure }),
    (error: unknown) => Object.assign(state, { ended: true, error }),
  );
  return { clock, state, stop, log: () => text };
}

describe("load", () => {
  it("says first what it is", async () => {
    const { log } = begin();
    await settle();
    expect(log()).toMatch(/^\(APIServer pid=\d+\) INFO 01-01 00:00:00 \[sim\] This is the simulated engine/);
    expect(log()).toContain("vLLM API server version 0.22.0+sim");
  });

  it("spreads vLLM's lines over the load time", async () => {
    const { clock, log, state } = begin();
    await clock.advance(18_000);
    expect(log()).toMatch(
      /Loading safetensors checkpoint shards: {2}25% Completed \| 1\/4 \[00:13<00:38, {2}12\.50s\/it\]\n/,
    );
    expect(log()).not.toContain("50% Completed");
    await clock.advance(40_000);
    expect(log()).toContain("100% Completed | 4/4");
    expect(log()).toContain("Model loading took 13.72 GiB memory and 50.000000 seconds");
    await clock.advance(30_000);
    expect(log()).toContain("torch.compile takes 15.00 s in total");
    expect(log()).toContain("GPU KV cache size: 262,144 tokens");
    expect(log()).toMatch(/\rCapturing CUDA graphs \(.*\): {2}45%\|█+ *\| 9\/20/);
    expect(state.ended).toBe(false);
    await clock.advance(12_000);
    expect(log()).toContain("Graph capturing finished in 15.00 secs");
    expect(log()).toContain("init engine (profile, create kv cache, warmup model) took 40.00 seconds");
    expect(state).toEqual({ ended: true, failure: undefined });
    expect(clock.now()).toBe(100_000);
  });

  it("compiles and captures nothing when it is eager", async () => {
    const { clock, log } = begin("--enforce-eager");
    await clock.advance(100_000);
    expect(log()).not.toMatch(/torch\.compile|CUDA graphs/);
  });

  it("tells of each rank", async () => {
    const { clock, log } = begin("-tp", "2");
    await clock.advance(100_000);
    expect(log()).toMatch(/\(Worker_TP0 .*Model loading took/);
    expect(log()).toMatch(/\(Worker_TP1 .*Model loading took/);
  });

  it("warns of flags that it ignores", async () => {
    const { log } = begin("--from-the-future", "x");
    await settle();
    expect(log()).toContain("has no use for --from-the-future x");
  });

  it("takes no time when it is to take none", async () => {
    const { clock, state } = begin("--sim-load-seconds=0");
    await settle();
    expect(state).toEqual({ ended: true, failure: undefined });
    expect(clock.now()).toBe(0);
  });

  it("crashes that far into the load", async () => {
    const { clock, log, state } = begin("--sim-crash-before-ready=20", "--sim-exit-code=3");
    await clock.advance(19_999);
    expect(state.ended).toBe(false);
    await clock.advance(1);
    expect(state).toEqual({ ended: true, failure: { exitCode: 3 } });
    expect(log()).toContain("EngineCore failed to start.");
    expect(log()).not.toContain("50% Completed");
  });

  it("never gets ready when its crash is due after the load", async () => {
    const { clock, state } = begin("--sim-crash-before-ready=200");
    await clock.advance(199_000);
    expect(state.ended).toBe(false);
    await clock.advance(1000);
    expect(state).toEqual({ ended: true, failure: { exitCode: 1 } });
  });

  it("runs out of memory after the weights", async () => {
    const { clock, log, state } = begin("--sim-oom");
    await clock.advance(100_000);
    expect(state).toEqual({ ended: true, failure: { exitCode: 1 } });
    expect(log()).toContain("HIP out of memory");
    expect(log()).toContain("100% Completed");
    expect(log()).not.toContain("torch.compile");
  });

  it("refuses a length that its cache cannot hold", async () => {
    const { clock, log, state } = begin("--max-model-len=1000", "--sim-cache-blocks=10");
    await clock.advance(100_000);
    expect(state).toEqual({ ended: true, failure: { exitCode: 1 } });
    expect(log()).toContain("max seq len (1000)");
  });

  it("stays at half of its weights for ever, with a timer that keeps the process alive", async () => {
    const { clock, log, state } = begin("--sim-never-ready");
    await clock.advance(1_000_000);
    expect(state.ended).toBe(false);
    expect(log()).toContain("50% Completed");
    expect(log()).not.toContain("75% Completed");
    expect(clock.pending).toBe(1);
  });

  it("ends when it is stopped", async () => {
    const { clock, state, stop } = begin();
    await clock.advance(10_000);
    stop.abort(new Error("stopped"));
    await settle();
    expect(state).toMatchObject({ ended: true, error: new Error("stopped") });
    expect(clock.pending).toBe(0);
  });
});
