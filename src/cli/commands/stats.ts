// stats: what replicas use of the machine; CPU from two looks, a second apart.
import { environment } from "../../config.ts";
import { sleep } from "../../lib/clock.ts";
import { readAnswer, statsAnswer, type StatsAnswer } from "../answers.ts";
import { clean } from "../clean.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { formatSize } from "../format.ts";
import type { Io } from "../io.ts";
import { createBlock, isLive } from "../progress.ts";
import { withGateway, type Session } from "../session.ts";
import { table } from "../table.ts";

export interface StatsOptions {
  /** Until Ctrl-C. */
  readonly watch?: boolean;
  readonly json?: boolean;
}

const HEADS = ["NAME", "MODEL", "CPU %", "MEM / LIMIT", "GPU MEM", "IN-FLIGHT"];
const SAMPLE_MS = 1_000;

export function stats(io: Io, options: StatsOptions): Promise<ExitCode> {
  const signal = io.interruptSignal();
  return withGateway(io, async (session) => {
    if (options.json) await printAnswers(session, options, signal);
    else await showTables(io, session, { options, signal });
    return EXIT.ok;
  });
}

/** What the gateway says, one object a line while it is watched. */
async function printAnswers({ client, terminal, clock }: Session, options: StatsOptions, signal: AbortSignal) {
  if (!options.watch) return terminal.printJson(await client.get("api/stats"));
  for (;;) {
    await terminal.print(JSON.stringify(await client.get("api/stats")));
    await sleep(clock, SAMPLE_MS, signal);
  }
}

interface Watching {
  readonly options: StatsOptions;
  readonly signal: AbortSignal;
}

async function showTables(io: Io, session: Session, { options, signal }: Watching): Promise<void> {
  const look = async () => readAnswer(statsAnswer, await session.client.get("api/stats")).stats;
  const show = options.watch && isLive(io.stdout, io.env ?? environment()) ? inPlace(io) : inTurn(session);
  let before = await look();
  do {
    await sleep(session.clock, SAMPLE_MS, signal);
    const now = await look();
    const rows = now.map((replica) => row(replica, before));
    const problems = now.flatMap(({ replica, problem }) => (problem === undefined ? [] : [`${replica}: ${problem}`]));
    await show(table(HEADS, rows), problems);
    before = now;
  } while (options.watch);
}

type Show = (text: string, problems: readonly string[]) => Promise<void>;

function inPlace(io: Io): Show {
  const block = createBlock(io.stdout);
  return async (text, problems) => block(clean([text, ...problems].join("\n")));
}

function inTurn({ terminal }: Session): Show {
  return async (text, problems) => {
    await terminal.print(text);
    for (const problem of problems) await terminal.note(problem);
  };
}

function row(now: StatsAnswer, before: readonly StatsAnswer[]): readonly string[] {
  const { replica, model, memoryBytes, memoryLimitBytes, gpuMemoryBytes, gpuMemoryTotalBytes, inFlight } = now;
  const memory = now.problem === undefined ? share(memoryBytes, memoryLimitBytes) : "";
  const gpuMemory = gpuMemoryTotalBytes === 0 ? "" : share(gpuMemoryBytes, gpuMemoryTotalBytes);
  return [replica, model, cpu(now, before), memory, gpuMemory, String(inFlight)];
}

/** 100 % is one core. Unknown for one that was not there before, or began anew. */
function cpu(now: StatsAnswer, samples: readonly StatsAnswer[]): string {
  const before = samples.find(({ replica }) => replica === now.replica);
  if (before === undefined || before.problem !== undefined || now.problem !== undefined) return "";
  const seconds = (Date.parse(now.time) - Date.parse(before.time)) / 1000;
  const used = now.cpuSeconds - before.cpuSeconds;
  return seconds > 0 && used >= 0 ? ((used / seconds) * 100).toFixed(1) : "";
}

function share(used: number | undefined, total: number | undefined): string {
  const known = used === undefined ? "?" : formatSize(used);
  return total === undefined ? known : `${known} / ${formatSize(total)}`;
}
