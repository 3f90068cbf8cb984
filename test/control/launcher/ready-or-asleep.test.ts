import { describe, expect, it } from "vitest";
import { awaitReadyOrAsleep, type Candidate } from "../../../src/control/launcher/ready-or-asleep.ts";
import { sleep } from "../../../src/lib/clock.ts";
import { orAborted } from "../../../src/lib/or-aborted.ts";
import { FakeClock } from "../../support/clock.ts";
import { IDENTITY } from "../../support/make-replica.ts";
import { makeRecipe } from "../../support/make.ts";

const ADDRESS = new URL("http://127.0.0.1:1");
const READINESS = { servedModel: "tiny", warmUp: true, timeoutMs: 1_000 };
const SLEEPY = makeRecipe({ sleep: { afterMs: 1_000, level: 1 } });
const never = new AbortController().signal;

/** An engine that answers each question whether it sleeps in turn, and then as last; `undefined`: it does not listen. */
class Scene {
  readonly clock = new FakeClock();
  readonly asked: string[] = [];
  readonly #answers: (boolean | undefined)[];
  readonly #isReady: boolean;

  constructor(answers: readonly (boolean | undefined)[], options: { readonly isReady: boolean } = { isReady: true }) {
    this.#answers = [...answers];
    this.#isReady = options.isReady;
  }

  async isAsleep(): Promise<boolean> {
    this.asked.push("asleep?");
    const answer = this.#answers.length > 1 ? this.#answers.shift() : this.#answers[0];
    if (answer === undefined) throw new Error("ECONNREFUSED");
    return answer;
  }

  async awaitReady(_candidate: Candidate, signal: AbortSignal): Promise<void> {
    this.asked.push("token");
    if (!this.#isReady) await orAborted(new Promise<never>(() => {}), signal);
  }

  wait(recipe: typeof SLEEPY | undefined, adopted: boolean, signal = never): Promise<"ready" | "asleep"> {
    const pause = (pausing: AbortSignal) => sleep(this.clock, 200, pausing);
    const candidate = { address: ADDRESS, readiness: READINESS, pause };
    return awaitReadyOrAsleep(this, { recipe, identity: { ...IDENTITY, adopted } }, candidate, signal);
  }
}

describe("a replica that comes up", () => {
  it.each([
    ["a fresh one whose recipe knows no sleep", makeRecipe(), false, ["token"]],
    ["a fresh one whose recipe knows sleep", SLEEPY, false, ["asleep?", "token"]],
    ["one found running", SLEEPY, true, ["asleep?", "token"]],
    ["one found running whose recipe knows no sleep any more", makeRecipe(), true, ["asleep?", "token"]],
    ["one found running whose recipe is gone", undefined, true, ["asleep?", "token"]],
    ["one found running of an engine that knows no sleep", makeRecipe({ engine: "llama.cpp" }), true, ["token"]],
  ])("is asked first whether it sleeps where it may: %s", async (_, recipe, adopted, asked) => {
    const scene = new Scene([false]);
    expect(await scene.wait(recipe, adopted)).toBe("ready");
    expect(scene.asked).toEqual(asked);
  });

  it("is asked for no token when it sleeps", async () => {
    const scene = new Scene([true]);
    expect(await scene.wait(undefined, true)).toBe("asleep");
    expect(scene.asked).toEqual(["asleep?"]);
  });

  it("is asked until it listens, and for no token before", async () => {
    const scene = new Scene([undefined, undefined, true]);
    const state = scene.wait(SLEEPY, true);
    await scene.clock.advance(1_000);
    expect(await state).toBe("asleep");
    expect(scene.asked).toEqual(["asleep?", "asleep?", "asleep?"]);
  });

  it("that gives no token since it is just falling asleep is seen to sleep", async () => {
    const scene = new Scene([false, false, undefined, true], { isReady: false });
    const state = scene.wait(SLEEPY, true);
    await scene.clock.advance(20_000);
    expect(await state).toBe("asleep");
    expect(scene.asked).toEqual(["asleep?", "token", "asleep?", "asleep?", "asleep?"]);
    expect(scene.clock.pending).toBe(0);
  });

  it.each([
    ["it never listens", [undefined]],
    ["it neither answers nor sleeps", [false]],
  ])("is given up with the signal when %s", async (_, answers) => {
    const scene = new Scene(answers, { isReady: false });
    const caller = new AbortController();
    const state = scene.wait(SLEEPY, true, caller.signal).catch((error: unknown) => error);
    await scene.clock.advance(30_000);
    caller.abort(new Error("too late"));
    expect(await state).toMatchObject({ message: "too late" });
    expect(scene.clock.pending).toBe(0);
  });
});
