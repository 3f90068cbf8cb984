// npm run test:simulation -- --seeds N --seed S [--steps 500] [--workers W] [--bug NAME | --bugs]
import { parseArgs } from "node:util";
import { BUGS, type Bug } from "./bugs.ts";
import { plantBug } from "./plant.ts";
import { sail, type Outcome } from "./crew.ts";

/** Within so many seeds each of the bugs has to be found. */
const MOST_SEEDS_PER_BUG = 2_000;
const HERE = new URL("../../", import.meta.url);

interface Options {
  readonly from: number;
  readonly count: number;
  readonly steps: number;
  readonly workers?: number;
}

const { values } = parseArgs({
  options: {
    seeds: { type: "string" },
    seed: { type: "string", default: "0" },
    steps: { type: "string", default: "500" },
    workers: { type: "string" },
    bug: { type: "string" },
    bugs: { type: "boolean", default: false },
  },
});

process.exitCode = await main();

async function main(): Promise<number> {
  if (values.bugs) return findAll(BUGS);
  if (values.bug === undefined) return search(optionsWith(1_000));
  const bug = BUGS.find(({ name }) => name === values.bug);
  if (bug !== undefined) return findAll([bug]);
  console.error(`there is no bug ${values.bug}; there are ${BUGS.map(({ name }) => name).join(", ")}`);
  return 2;
}

function optionsWith(seeds: number): Options {
  const workers = values.workers === undefined ? {} : { workers: numberOf("workers", values.workers) };
  return {
    from: numberOf("seed", values.seed),
    count: values.seeds === undefined ? seeds : numberOf("seeds", values.seeds),
    steps: numberOf("steps", values.steps),
    ...workers,
  };
}

function numberOf(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  console.error(`--${name} ${text} is no whole number from 0`);
  process.exit(2);
}

/** Whether nothing is broken. */
async function search(options: Options): Promise<number> {
  const { steps } = options;
  const { outcome, seconds } = await timed(HERE, options);
  const lives = `${outcome.played} lives of ${steps} steps in ${seconds} s, from seed ${options.from}`;
  if (outcome.failure === undefined) {
    console.log(`${lives}: 0 violations`);
    return 0;
  }
  const { seed, message } = outcome.failure;
  console.error(message);
  console.error(`\nagain: npm run test:simulation -- --seed ${seed} --seeds 1 --steps ${steps}`);
  console.log(`${lives}: seed ${seed} is a violation`);
  return 1;
}

/** Whether each of the bugs is found. */
async function findAll(bugs: readonly Bug[]): Promise<number> {
  let missed = 0;
  for (const bug of bugs) {
    const copy = await plantBug(bug);
    try {
      const options = optionsWith(MOST_SEEDS_PER_BUG);
      const { outcome, seconds } = await timed(copy.root, options);
      const { failure } = outcome;
      if (failure === undefined) missed += 1;
      const found =
        failure === undefined ? `not found in ${outcome.played}` : `seed ${failure.seed - options.from + 1}`;
      console.log(
        `${bug.name.padEnd(28)} ${found.padEnd(20)} ${String(seconds).padStart(5)} s  ${firstLine(failure?.message)}`,
      );
    } finally {
      await copy.remove();
    }
  }
  console.log(`${bugs.length - missed} of ${bugs.length} bugs found`);
  return missed === 0 ? 0 : 1;
}

async function timed(root: URL, options: Options): Promise<{ readonly outcome: Outcome; readonly seconds: number }> {
  const begun = performance.now();
  const show = (played: number) => process.stdout.write(`\r${played} of ${options.count} lives `);
  const outcome = await sail({ ...options, root, ...(process.stdout.isTTY ? { onProgress: show } : {}) });
  if (process.stdout.isTTY) process.stdout.write("\r");
  return { outcome, seconds: Math.round((performance.now() - begun) / 100) / 10 };
}

function firstLine(message = ""): string {
  return (message.split("\n")[0] ?? "").slice(0, 100);
}
