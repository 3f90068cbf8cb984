// One load, from its container's start to its being ready: when it is asked whether it answers.
import { describe, expect, it } from "vitest";
import { parseProgress } from "../../../src/runtime/progress.ts";
import { Rig } from "../../support/make-plane.ts";
import { makeRecipe } from "../../support/make.ts";

const MINUTE = 60_000;

/** A model whose engine is asked on and on, and answers when it is told to. */
class Load {
  readonly rig: Rig;
  /** When it was asked, by the clock. */
  readonly askedAt: number[] = [];
  isDone = false;

  constructor() {
    this.rig = new Rig({
      recipes: [makeRecipe({ startTimeoutMs: 30 * MINUTE })],
      engines: {
        parseProgress,
        awaitReady: async (candidate, signal) => {
          for (;;) {
            this.askedAt.push(this.rig.clock.now());
            if (this.isDone) return;
            await candidate.pause(signal);
          }
        },
      },
    });
    this.rig.request("tiny");
  }

  say(line: string): void {
    this.rig.world.containers.get("tiny-1")?.lines.push(line);
  }

  /** How often it was asked within the next `ms`. */
  async askedWithin(ms: number): Promise<number> {
    const before = this.askedAt.length;
    await this.rig.clock.advance(ms);
    return this.askedAt.length - before;
  }
}

describe("a replica that loads", () => {
  it("is asked twice a second in the midst of a long load, and at once when its log says that its server is up", async () => {
    const load = new Load();
    await load.rig.clock.advance(5 * MINUTE);
    expect(await load.askedWithin(10_000)).toBe(20);
    load.isDone = true;
    load.say("(APIServer pid=1) INFO:     Application startup complete.");
    expect(await load.askedWithin(46)).toBe(1);
    expect(load.rig.states()).toEqual(["tiny-1 ready"]);
  });

  it("is asked often where its last load ended", async () => {
    const load = new Load();
    await load.rig.clock.advance(2 * MINUTE);
    load.isDone = true;
    await load.rig.clock.advance(1_000);
    const [replica] = load.rig.plane.fleet.replicas.all();
    if (replica !== undefined) load.rig.plane.fleet.stop(replica, "stopped", "to be started again");
    load.isDone = false;
    load.rig.request("tiny");
    await load.rig.clock.advance(MINUTE);
    expect(await load.askedWithin(10_000)).toBeLessThanOrEqual(21);
    await load.rig.clock.advance(48_000);
    expect(await load.askedWithin(5_000)).toBeGreaterThan(90);
  });
});
