import { beforeEach, describe, expect, it } from "vitest";
import type { RoutedRequest } from "../../../src/control/balance/model-router.ts";
import { Router } from "../../../src/control/balance/router.ts";
import type { Assignment } from "../../../src/control/balance/seat.ts";
import type { Replica, ReplicaState } from "../../../src/control/replica.ts";
import { FakeClock } from "../../support/clock.ts";
import { makeReplica } from "../../support/make-replica.ts";

const MODEL = "a";
/** What a replica reads in a second of which nothing was seen. */
const RATE = 10_000;

/** A request whose prompt is so many tokens long, and begins as others of its text do. */
function request(text: string, tokens = 4_000, known: Omit<RoutedRequest, "prompt"> = {}): RoutedRequest {
  const body = Buffer.alloc(tokens * 4, `${text} `);
  return { prompt: { body, spans: [{ start: 0, end: body.length }] }, ...known };
}

describe("the router", () => {
  let clock: FakeClock;
  let router: Router;
  let grants: number;

  function ready(name: string): Replica {
    const replica = makeReplica("loading", { name });
    move(replica, "ready");
    return replica;
  }

  function move(replica: Replica, to: ReplicaState): void {
    const from = replica.state;
    replica.transition(to, "", clock.now());
    router.moved(replica, from);
  }

  /** As the fleet does it. */
  function assign(asked: RoutedRequest): Assignment {
    const assignment = router.assign(MODEL, asked);
    if (assignment === undefined) throw new Error("nobody has room");
    assignment.replica.leases += 1;
    assignment.replica.lastGrant = ++grants;
    return assignment;
  }

  function end(assignment: Assignment): void {
    assignment.ended();
    assignment.replica.leases -= 1;
  }

  /** Begun and over at once; says where. */
  function serve(asked: RoutedRequest): string {
    const assignment = assign(asked);
    assignment.begun();
    end(assignment);
    return assignment.replica.name;
  }

  beforeEach(() => {
    clock = new FakeClock();
    router = new Router({ clock, balance: "predicted-ttft" });
    grants = 0;
  });

  it("has nobody for a model of which nothing is ready", () => {
    expect([router.hasRoom(MODEL), router.assign(MODEL, {})]).toEqual([false, undefined]);
    const replica = ready("a-1");
    expect(router.hasRoom(MODEL)).toBe(true);
    replica.responsive = false;
    expect([router.hasRoom(MODEL), router.assign(MODEL, {})]).toEqual([false, undefined]);
  });

  it("sends a prompt to where its beginning was sent", () => {
    for (const name of ["a-1", "a-2", "a-3"]) ready(name);
    const homes = ["red", "green", "blue"].map((text) => serve(request(text)));
    expect(new Set(homes).size).toBe(3);
    for (let turn = 0; turn < 3; turn++)
      expect(["red", "green", "blue"].map((text) => serve(request(text, 4_400)))).toEqual(homes);
  });

  it("sends it elsewhere when the queue there is longer than reading it anew takes", () => {
    for (const name of ["a-1", "a-2"]) ready(name);
    const home = serve(request("red"));
    const queue = ["red", "red"].map((text, turn) => assign(request(text + turn, 9_000)));
    const long = queue.find(({ replica }) => replica.name === home);
    for (const one of queue) if (one !== long) end(one);
    expect(serve(request("red"))).not.toBe(home);
  });

  it("takes turns where nothing is known of the prompts", () => {
    for (const name of ["a-1", "a-2", "a-3"]) ready(name);
    expect([1, 2, 3, 4].map(() => serve({}))).toEqual(["a-1", "a-2", "a-3", "a-1"]);
    const busy = assign({});
    expect(serve({})).not.toBe(busy.replica.name);
  });

  it("counts a prompt as queued until its answer begins, and once", async () => {
    const [one, other] = [ready("a-1"), ready("a-2")];
    const long = assign(request("red", 50_000));
    expect(long.replica).toBe(one);
    expect([1, 2].map(() => serve(request("short")))).toEqual(["a-2", "a-2"]);
    long.begun();
    long.begun();
    expect(serve(request("other"))).toBe("a-2");
    end(long);
    long.begun();
    expect(assign(request("more", 8_000)).replica).toBe(one);
    expect(assign(request("and more", 8_000)).replica).toBe(other);
    await clock.advance(500);
    expect(assign(request("still more", 9_000)).replica).toBe(one);
  });

  it("takes a prompt off the queue when its request ends without an answer", () => {
    for (const name of ["a-1", "a-2"]) ready(name);
    end(assign(request("red", 50_000)));
    expect(["green", "blue"].map((text) => assign(request(text)).replica.name)).toEqual(["a-2", "a-1"]);
  });

  it("does not count an answer that comes all at once as a queue for as long as it takes", async () => {
    const [one] = [ready("a-1"), ready("a-2")];
    assign(request("red", 10_000, { stream: false }));
    await clock.advance((3 * 10_000 * 1_000) / RATE);
    expect(assign(request("red", 10_000)).replica).toBe(one);
  });

  describe("forgets what a replica had cached", () => {
    it.each([
      ["it sleeps and wakes", ["dozing", "sleeping", "waking", "ready"]],
      ["it drains and goes", ["draining", "stopping", "gone"]],
      ["it fails", ["failed"]],
    ] as const)("when %s", (_, states) => {
      const [one] = [ready("a-1"), ready("a-2"), ready("a-3")];
      expect([serve(request("red")), serve(request("red"))]).toEqual(["a-1", "a-1"]);
      for (const state of states) move(one, state);
      expect(serve(request("red"))).not.toBe("a-1");
      expect(router.routed()).toEqual([{ model: MODEL, tokens: 12_000, cachedTokens: 3_968 }]);
    });

    it("when its cache holds no more than its engine says", () => {
      const [one, other] = [ready("a-1"), ready("a-2")];
      for (const replica of [one, other]) router.cacheHolds(replica, 4_096);
      expect(["red", "green", "blue", "red"].map((text) => serve(request(text)))[2]).toBe("a-1");
      // Of the 31 blocks of the first there is room for one beside those of the third.
      expect(router.routed()).toEqual([{ model: MODEL, tokens: 16_000, cachedTokens: 128 }]);
    });
  });

  it("knows how much a cache holds that was told before there was a choice", () => {
    const one = ready("a-1");
    router.cacheHolds(one, 0);
    ready("a-2");
    expect([serve(request("red")), serve(request("red"))]).toEqual(["a-1", "a-2"]);
  });

  it("serves as many replicas as there are, though it knows the caches of 32 only", () => {
    for (let name = 1; name <= 40; name++) ready(`a-${name}`);
    const homes = Array.from({ length: 40 }, (_, at) => serve(request(`text ${at}`)));
    expect(new Set(homes).size).toBe(40);
    for (let at = 0; at < 32; at++) expect(serve(request(`text ${at}`))).toBe(homes[at]);
  });

  it("tells the tokens of prompts, and those that should have been cached", () => {
    for (const name of ["a-1", "a-2"]) ready(name);
    serve(request("red", 1_024));
    serve(request("red", 1_280));
    serve({});
    expect(router.routed()).toEqual([{ model: MODEL, tokens: 2_304, cachedTokens: 1_024 }]);
  });

  it("does as the recipe says, else as the configuration says", () => {
    router = new Router({ clock, balance: "round-robin" });
    for (const name of ["a-1", "a-2"]) ready(name);
    expect([1, 2, 3].map(() => serve(request("red")))).toEqual(["a-1", "a-2", "a-1"]);
    router = new Router({ clock, balance: "least-in-flight" });
    for (const name of ["a-1", "a-2"]) ready(name);
    expect([1, 2, 3].map(() => assign(request("red")).replica.name)).toEqual(["a-1", "a-2", "a-1"]);
  });

  describe("of sessions", () => {
    beforeEach(() => {
      router = new Router({ clock, balance: "session" });
    });

    it("stays with the replica of the session, whatever is asked there", () => {
      const [one, other] = [ready("a-1"), ready("a-2")];
      expect([serve(request("red", 400, { session: "s" })), serve(request("blue", 400, { session: "t" }))]).toEqual([
        "a-1",
        "a-2",
      ]);
      for (let turn = 0; turn < 3; turn++) {
        expect(assign(request(`blue ${turn}`, 4_000, { session: "s" })).replica).toBe(one);
        expect(assign(request(`red ${turn}`, 4_000, { session: "t" })).replica).toBe(other);
      }
    });

    it("moves with the session when its replica has no room or is gone, and stays there", () => {
      const [one] = [ready("a-1"), ready("a-2")];
      expect(serve(request("red", 400, { session: "s" }))).toBe("a-1");
      one.responsive = false;
      expect(serve(request("red", 400, { session: "s" }))).toBe("a-2");
      one.responsive = true;
      expect(serve(request("red", 400, { session: "s" }))).toBe("a-2");
      move(one, "failed");
      expect(serve(request("red", 400, { session: "s" }))).toBe("a-2");
    });
  });
});
