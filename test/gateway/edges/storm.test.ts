// Clients that leave in every phase, in random order, while backends die under them: what is left in the end is nothing.
// `FULL=1` leaves a thousand times in each way; `SEED=n` replays a run.
import { request as httpRequest } from "node:http";
import { describe, expect, it, onTestFinished } from "vitest";
import { sleep, systemClock, type Clock, type Timer } from "../../../src/lib/clock.ts";
import { Seeded } from "../../simulation/seeded.ts";
import { type FakeBackend, type FakeHandler, startFakeBackend } from "../../support/fake-backend.ts";
import { bytesInUse } from "../../support/garbage.ts";
import { until } from "../../support/until.ts";
import { startFrozenListener } from "../frozen-listener.ts";
import { CHAT, MODEL, startGateway } from "../harness.ts";
import { SlotPool } from "./slot-pool.ts";

const FULL = process.env["FULL"] === "1";
const SEED = Number(process.env["SEED"] ?? (FULL ? process.pid : 1));
/** Times in each round. */
const TIMES = FULL ? 250 : 40;
const ROUNDS = 4;
/** After so many rounds everything was needed once, and is there. */
const WARM_UP = 2;
/** Chance makes a round end with a few hundred kilobytes more or less. A single exchange would take several of each request. */
const MOST_GROWTH_BYTES = 512 * 1024;
const CLIENTS = 48;
const BACKENDS = 3;
const DEATH_EVERY = 40;
const PHASES = ["queued", "connecting", "first_byte", "streaming", "whole"] as const;

interface Plan {
  readonly id: string;
  readonly phase: (typeof PHASES)[number];
  readonly stream: boolean;
}

/** What happened to a request, for those who wait for it. */
class Milestones {
  readonly #passed = new Map<string, PromiseWithResolvers<void>>();

  pass(id: string, what: string): void {
    this.#at(id, what).resolve();
  }

  when(id: string, what: string): Promise<void> {
    return this.#at(id, what).promise;
  }

  clear(): void {
    this.#passed.clear();
  }

  #at(id: string, what: string): PromiseWithResolvers<void> {
    const key = `${id} ${what}`;
    const known = this.#passed.get(key) ?? Promise.withResolvers<void>();
    this.#passed.set(key, known);
    return known;
  }
}

/** The system's clock, which knows how many of its timers are pending. */
function countingClock(): Clock & { readonly pending: number } {
  const timers = new Set<Timer>();
  return {
    ...systemClock,
    setTimer(delayMs, callback) {
      const inner = systemClock.setTimer(delayMs, () => {
        timers.delete(timer);
        callback();
      });
      const timer = {
        cancel: () => {
          timers.delete(timer);
          inner.cancel();
        },
      };
      timers.add(timer);
      return timer;
    },
    get pending() {
      return timers.size;
    },
  };
}

/** Backends one of which dies now and then; another takes its place on a port of its own. */
class Mortals {
  readonly #handler: FakeHandler;
  readonly #alive: { readonly backend: FakeBackend; readonly address: URL }[] = [];

  constructor(handler: FakeHandler) {
    this.#handler = handler;
  }

  async begin(): Promise<void> {
    for (let count = 0; count < BACKENDS; count++) await this.#add(count);
  }

  address(random: Seeded): URL {
    return random.one(this.#alive).address;
  }

  /** Its address is still given out for a moment, as it is while nobody has noticed. */
  async kill(random: Seeded): Promise<void> {
    const at = random.upTo(BACKENDS - 1);
    await this.#alive[at]?.backend.close();
    await this.#add(at);
  }

  /** All at once, and others take their places: nothing is left of what the backends of the test remember. */
  async renew(): Promise<void> {
    await this.end();
    await this.begin();
  }

  async end(): Promise<void> {
    await Promise.all(this.#alive.map(({ backend }) => backend.close()));
  }

  async #add(at: number): Promise<void> {
    const backend = await startFakeBackend({ handler: this.#handler });
    // One object for each: connections are kept by it.
    this.#alive[at] = { backend, address: backend.address };
  }
}

describe("clients that leave and backends that die, at random", { timeout: 300_000 }, () => {
  it(`leave nothing behind (SEED=${SEED})`, async () => {
    const random = new Seeded(SEED);
    const milestones = new Milestones();
    const late: string[] = [];
    const leftAt = new Map<string, number>();
    const mortals = new Mortals(async ({ headers, ended }, reply) => {
      const id = String(headers["x-request-id"]);
      const { phase, stream } = parseId(id);
      milestones.pass(id, "first_byte");
      void ended.then((how) => {
        const gone = leftAt.get(id);
        if (how === "aborted" && gone !== undefined && performance.now() - gone > 1_000) late.push(id);
        milestones.pass(id, "over");
      });
      if (phase === "whole") return reply.json(200, { ok: true });
      if (phase !== "streaming") return;
      const answer = stream ? reply.sse() : reply.stream(200, { "content-type": "application/json" });
      while (await answer.write("data: x\n\n")) await sleep(systemClock, 5);
    });
    await mortals.begin();
    onTestFinished(() => mortals.end());
    const frozen = await startFrozenListener();
    const pool = new SlotPool({
      slots: 24,
      addressFor: (id) => (parseId(id).phase === "connecting" ? frozen.address : mortals.address(random)),
      waitsForEver: (id) => parseId(id).phase === "queued",
      grantsTooLate: (id) => parseId(id).phase === "queued" && random.next() < 0.3,
      onWaiting: (id) => milestones.pass(id, "queued"),
      onGranted: (id) => milestones.pass(id, "connecting"),
    });
    const clock = countingClock();
    const settings = { connectTimeoutMs: 10_000, upstreamIdleMs: 300 };
    const gateway = await startGateway({ slots: pool, clock, settings });

    const comeAndLeave = async ({ id, phase, stream }: Plan) => {
      const over = Promise.withResolvers<void>();
      const outgoing = httpRequest(new URL(CHAT, gateway.url), {
        method: "POST",
        agent: false,
        headers: { "content-type": "application/json", "x-request-id": id },
      });
      outgoing.on("response", (incoming) => {
        incoming.on("data", () => milestones.pass(id, "streaming"));
        incoming.on("error", () => {}); // it is we who leave, or a backend that died
        incoming.on("close", over.resolve);
      });
      outgoing.on("error", over.resolve);
      outgoing.end(JSON.stringify({ model: MODEL, stream }));
      await Promise.race([phase === "whole" ? over.promise : milestones.when(id, phase), over.promise]);
      for (let turns = random.upTo(3); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
      leftAt.set(id, performance.now());
      // Node cannot reset what has begun to close: it would keep a handle for ever.
      const { socket } = outgoing;
      if (random.next() < 0.5 && socket?.writable === true && phase !== "whole") socket.resetAndDestroy();
      else outgoing.destroy();
      await over.promise;
    };
    const blow = async (plans: readonly Plan[]) => {
      let begun = 0;
      const client = async () => {
        for (let plan = plans[begun++]; plan !== undefined; plan = plans[begun++]) {
          if (begun % DEATH_EVERY === 0) await mortals.kill(random);
          await comeAndLeave(plan);
        }
      };
      await Promise.all(Array.from({ length: CLIENTS }, client));
      await gateway.ended(plans.length);
      await until(() => pool.inFlight === 0 && pool.waiting === 0, { what: "nothing in flight and nobody waiting" });
      expect(gateway.log.filter(({ msg }) => msg === "request ended")).toHaveLength(plans.length);
    };

    const used: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      await blow(shuffled(random));
      expect(pool.breaches).toEqual([]);
      expect(late).toEqual([]);
      expect(gateway.log.filter(({ level }) => Number(level) >= 50)).toEqual([]);
      // Only what must have happened for the storm to have been one.
      expect([...pool.outcomes.keys()]).toEqual(expect.arrayContaining(["client_gone", "completed", "broken"]));
      await until(() => clock.pending === 0, { what: `no timer pending` });
      // What the test itself remembers of each request is not to be counted.
      milestones.clear();
      leftAt.clear();
      gateway.log.length = 0;
      await mortals.renew();
      used.push(bytesInUse());
    }
    const [before = 0, after = 0] = [used[WARM_UP - 1], used.at(-1)];
    expect(after - before).toBeLessThan(MOST_GROWTH_BYTES);
  });
});

/** Every way of leaving, so many times, in random order. */
function shuffled(random: Seeded): readonly Plan[] {
  const kinds = PHASES.flatMap((phase) => [true, false].map((stream) => ({ phase, stream })));
  const plans = kinds.flatMap(({ phase, stream }) =>
    Array.from({ length: TIMES }, (_, at) => ({ id: `${phase}/${stream ? "stream" : "whole"}/${at}`, phase, stream })),
  );
  return plans
    .map((plan) => ({ plan, at: random.next() }))
    .sort((one, other) => one.at - other.at)
    .map(({ plan }) => plan);
}

function parseId(id: string): Pick<Plan, "phase" | "stream"> {
  const [name, how] = id.split("/");
  const phase = PHASES.find((one) => one === name);
  if (phase === undefined) throw new Error(`no phase is called ${name}`);
  return { phase, stream: how === "stream" };
}
