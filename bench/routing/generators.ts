// Requests of our own making: shapes of traffic that a router meets, each decided by its seed.
import { Seeded } from "../../test/simulation/seeded.ts";
import { poisson, serviceMs, zipf } from "../scheduling/chance.ts";
import { Texts, type Text } from "./texts.ts";
import type { Ask, Workload } from "./workload.ts";

export interface GeneratorOptions {
  readonly seed: number;
  /** How many there are, about. */
  readonly requests: number;
}

/** On the whole; every load brings them closer together or further apart. */
const MS_PER_REQUEST = 50;

/** All of them by name, in the order of the report. */
export const GENERATORS: Readonly<Record<string, (options: GeneratorOptions) => Workload>> = {
  chats: (options) => {
    const { random, texts } = materials(options);
    const systems = Array.from({ length: 8 }, () => texts.begin(1200));
    return {
      name: "chats",
      about: "chats of 1 to 9 turns, 20 s or so apart, on one of 8 system prompts of 1,200 tokens",
      asks: conversations(options, { random, texts, turns: 5 }, () => ({
        first: random.one(systems),
        saysTokens: 300,
        answerTokens: 250,
        pauseMs: 20_000,
      })),
    };
  },

  "shared-prompts": (options) => {
    const { random, texts } = materials(options);
    const groups = Array.from({ length: 150 }, () => texts.begin(6000));
    return {
      name: "shared-prompts",
      about: "150 groups of users, each with 6,000 tokens in common, and questions of 1,200",
      asks: single(options, random, () => [texts.grow(random.one(groups), 1200), 250]),
    };
  },

  agents: (options) => {
    const { random, texts } = materials(options);
    const kinds = Array.from({ length: 6 }, () => texts.begin(7000));
    return {
      name: "agents",
      about:
        "tasks of 1 to 29 steps, 5 s or so apart, each with what a tool said, on one of 6 sets of tools of 7,000 tokens",
      asks: conversations(options, { random, texts, turns: 15 }, () => ({
        first: random.one(kinds),
        saysTokens: 1000,
        answerTokens: 120,
        pauseMs: 5000,
      })),
    };
  },

  random: (options) => {
    const { random, texts } = materials(options);
    return {
      name: "random",
      about: "prompts that have nothing in common, half of them under 1,500 tokens",
      asks: single(options, random, () => [texts.begin(around(random, 1500)), 250]),
    };
  },

  "hot-prefixes": (options) => {
    const { random, texts } = materials(options);
    const hot = Array.from({ length: 24 }, () => texts.begin(16_000));
    const prompt = () => texts.grow(hot[zipf(random, hot.length)] ?? texts.begin(0), 1000);
    return {
      name: "hot-prefixes",
      about: "24 prefixes of 16,000 tokens, asked for by popularity; only what no cache saves counts as load",
      loadIsAfterHits: true,
      asks: single(options, random, () => [prompt(), 120]),
    };
  },
};

interface Materials {
  readonly random: Seeded;
  readonly texts: Texts;
}

/** The medians of a conversation, and what it begins with. */
interface Style {
  readonly first: Text;
  readonly saysTokens: number;
  readonly answerTokens: number;
  readonly pauseMs: number;
}

function materials({ seed }: GeneratorOptions): Materials {
  return { random: new Seeded(seed), texts: new Texts() };
}

/** Requests that do not know of each other: each of a text and of the tokens of a median answer. */
function single({ requests }: GeneratorOptions, random: Seeded, next: () => readonly [Text, number]): readonly Ask[] {
  return poisson(random, MS_PER_REQUEST, { to: requests * MS_PER_REQUEST }).map((atMs) => {
    const [text, answerTokens] = next();
    return { atMs, ...text, outputTokens: around(random, answerTokens) };
  });
}

/** Conversations that begin one after the other, of `turns` turns in the mean: each turn repeats all that was said before. */
function conversations(
  { requests }: GeneratorOptions,
  { random, texts, turns }: Materials & { readonly turns: number },
  style: () => Style,
): readonly Ask[] {
  const starts = poisson(random, MS_PER_REQUEST * turns, { to: requests * MS_PER_REQUEST });
  const asks = starts.flatMap((start) =>
    conversation(start, 1 + random.upTo(2 * turns - 2), { random, texts, ...style() }),
  );
  return asks.toSorted((a, b) => a.atMs - b.atMs);
}

function conversation(start: number, turns: number, { random, texts, ...style }: Materials & Style): Ask[] {
  const asks: Ask[] = [];
  let atMs = start;
  let text = style.first;
  for (let turn = 0; turn < turns; turn++) {
    text = texts.grow(text, around(random, style.saysTokens));
    const outputTokens = around(random, style.answerTokens);
    asks.push({ atMs, ...text, outputTokens });
    text = texts.grow(text, outputTokens);
    atMs += around(random, style.pauseMs);
  }
  return asks;
}

/** Lengths are spread as times of service are: most are short, a few are long. */
function around(random: Seeded, median: number): number {
  return Math.max(1, serviceMs(random, median));
}
