// What is asked of the gateway, and of how many GPUs: each trace is a story that people tell of such machines.
import type { Recipe } from "../../src/catalog/recipe.ts";
import { makeProfile, makeRecipe } from "../../test/support/make.ts";
import { Seeded } from "../../test/simulation/seeded.ts";
import { poisson, serviceMs, zipf } from "./chance.ts";

export interface Trace {
  readonly name: string;
  /** One sentence. */
  readonly about: string;
  readonly gpus: number;
  readonly recipes: readonly Recipe[];
  /** In the order of their times. */
  readonly arrivals: readonly Arrival[];
  /** No request comes by itself after it. */
  readonly durationMs: number;
}

/** A request, and what its client asks for when it has been served. */
export interface Arrival extends Ask {
  /** From the start of the trace. */
  readonly atMs: number;
  readonly followUp?: Ask;
}

export interface Ask {
  readonly model: string;
  /** How long it is served once it has its place. */
  readonly serveMs: number;
  readonly isStream: boolean;
}

export interface TraceOptions {
  readonly seed: number;
  /** Share of the usual length; 1 when absent. */
  readonly scale?: number;
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** Most clients of chat models stream. */
const STREAMS = 0.7;

/** All traces by name, in the order of the report. */
export const TRACES: Readonly<Record<string, (options: TraceOptions) => Trace>> = {
  alternating: ({ seed, scale = 1 }) => {
    const random = new Seeded(seed);
    const durationMs = 2 * HOUR * scale;
    const arrivals = Array.from({ length: durationMs / SECOND }, (_, index) =>
      arrival(random, index * SECOND, index % 2 === 0 ? "a" : "b", SECOND / 2),
    );
    return {
      name: "alternating",
      about: "A B A B … at one request a second, each model on all 8 GPUs, 60 s loads, short answers",
      gpus: 8,
      recipes: [recipe("a", 8, 60), recipe("b", 8, 60)],
      arrivals,
      durationMs,
    };
  },

  "side-requests": ({ seed, scale = 1 }) => {
    const random = new Seeded(seed);
    const durationMs = 4 * HOUR * scale;
    const turns = Array.from(
      { length: durationMs / (30 * SECOND) },
      (_, turn) => (30 * turn + random.upTo(20)) * SECOND,
    );
    return {
      name: "side-requests",
      about:
        "a chat turn every 30 s or so on a model that takes all 8 GPUs (60 s load), each followed by a title from a small one (20 s)",
      gpus: 8,
      recipes: [recipe("chat", 8, 60), recipe("titles", 1, 20)],
      arrivals: turns.map((atMs) => ({
        ...arrival(random, atMs, "chat", 6 * SECOND),
        isStream: true,
        followUp: { model: "titles", serveMs: serviceMs(random, SECOND), isStream: false },
      })),
      durationMs,
    };
  },

  zipf: ({ seed, scale = 1 }) => {
    const random = new Seeded(seed);
    const durationMs = 4 * HOUR * scale;
    const recipes = Array.from({ length: 20 }, (_, rank) =>
      recipe(`m${rank + 1}`, random.one([1, 1, 2, 4]), 30 + random.upTo(150)),
    );
    return {
      name: "zipf",
      about: "20 models on 8 GPUs, 1 to 4 each, 30 to 180 s loads, asked for by popularity, a request every 15 s",
      gpus: 8,
      recipes,
      arrivals: poisson(random, 15 * SECOND, { to: durationMs }).map((atMs) =>
        arrival(random, atMs, `m${zipf(random, 20) + 1}`),
      ),
      durationMs,
    };
  },

  bursts: ({ seed, scale = 1 }) => {
    const random = new Seeded(seed);
    const durationMs = 8 * HOUR * scale;
    const recipes = Array.from({ length: 6 }, (_, team) => recipe(`team${team + 1}`, random.one([2, 4]), 60));
    const arrivals = recipes.flatMap(({ model }, team) =>
      poisson(random, 4 * MINUTE, { to: durationMs })
        .filter((atMs) => random.next() < shiftOf(atMs / durationMs, team / recipes.length))
        .flatMap((atMs) => burst(random, atMs, model)),
    );
    return {
      name: "bursts",
      about: "6 teams with a model each of 2 or 4 GPUs, 60 s loads, whose days of 8 h are shifted, bursts of 1 to 12",
      gpus: 8,
      recipes,
      arrivals: arrivals.filter(({ atMs }) => atMs < durationMs).sort((a, b) => a.atMs - b.atMs),
      durationMs,
    };
  },

  "hot-and-cold": ({ seed, scale = 1 }) => {
    const random = new Seeded(seed);
    const durationMs = 3 * HOUR * scale;
    const cold = Array.from({ length: 12 }, (_, index) => recipe(`cold${index + 1}`, random.one([2, 4]), 90));
    const hot = poisson(random, 2 * SECOND, { to: durationMs }).map((atMs) => arrival(random, atMs, "hot"));
    const rare = poisson(random, 100 * SECOND, { to: durationMs }).map((atMs) =>
      arrival(random, atMs, random.one(cold).model),
    );
    return {
      name: "hot-and-cold",
      about: "one model of 4 GPUs with a request every 2 s, 12 of 2 or 4 with one every 100 s among them, 90 s loads",
      gpus: 8,
      recipes: [recipe("hot", 4, 90), ...cold],
      arrivals: [...hot, ...rare].sort((a, b) => a.atMs - b.atMs),
      durationMs,
    };
  },
};

function recipe(id: string, gpus: number, loadSeconds: number): Recipe {
  return makeRecipe({ id, profiles: [makeProfile(gpus, { env: { AIM_SIM_LOAD_SECONDS: String(loadSeconds) } })] });
}

function arrival(random: Seeded, atMs: number, model: string, medianMs = 3 * SECOND): Arrival {
  return { atMs, model, serveMs: serviceMs(random, medianMs), isStream: random.next() < STREAMS };
}

/** How likely a team works at a time of the day: all of it at its noon, hardly at its midnight. */
function shiftOf(timeOfDay: number, noon: number): number {
  return 0.05 + 0.95 * Math.max(0, Math.cos(2 * Math.PI * (timeOfDay - noon)));
}

function burst(random: Seeded, atMs: number, model: string): readonly Arrival[] {
  return Array.from({ length: random.upTo(11) + 1 }, () => arrival(random, atMs + random.upTo(30) * SECOND, model));
}
