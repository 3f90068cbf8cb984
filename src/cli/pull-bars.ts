// How far a pull has come, for people: one line in words, and bars for the layers that move.
import type { PullProgressAnswer } from "./answers.ts";
import { formatSize } from "./format.ts";

type Layer = PullProgressAnswer["layers"][number];

const MOST_BARS = 8;
const ID_WIDTH = 12;
const STATUS_WIDTH = 18;
const AMOUNT_WIDTH = 20;
const BAR_WIDTHS = { least: 10, most: 40 };

/** "3.1 GiB of 12 GiB, 26%". */
export function pullSummary({ doneBytes, totalBytes }: PullProgressAnswer): string {
  if (totalBytes === undefined || totalBytes === 0) return doneBytes === 0 ? "" : formatSize(doneBytes);
  return `${formatSize(doneBytes)} of ${formatSize(totalBytes)}, ${percent(doneBytes, totalBytes)}%`;
}

/** A line for each layer under way, at most eight, and one for all together. */
export function pullBars(pull: PullProgressAnswer, columns = 80): readonly string[] {
  const { layers } = pull;
  if (layers.length === 0) return [];
  const waiting = layers.filter((layer) => !isMoving(layer) && !isDone(layer));
  const shown = [...layers.filter(isMoving), ...waiting].slice(0, MOST_BARS);
  const room = columns - ID_WIDTH - STATUS_WIDTH - AMOUNT_WIDTH - "  ".length * 4 - "[]".length - 1;
  const width = Math.max(BAR_WIDTHS.least, Math.min(BAR_WIDTHS.most, room));
  const done = `${layers.filter(isDone).length}/${layers.length} layers`;
  return [
    ...shown.map((layer) => line(layer.id.slice(0, ID_WIDTH), layer.status, layer, width)),
    line("total", done, pull, width),
  ];
}

function isDone({ status }: Layer): boolean {
  return status === "Pull complete" || status === "Already exists";
}

function isMoving({ status }: Layer): boolean {
  return /^(Downloading|Extracting|Verifying|Retrying)/.test(status);
}

function line(label: string, status: string, amount: Pick<Layer, "doneBytes" | "totalBytes">, width: number): string {
  const { doneBytes, totalBytes } = amount;
  const sizes =
    totalBytes === undefined ? formatSize(doneBytes) : `${formatSize(doneBytes)} / ${formatSize(totalBytes)}`;
  const amounts = doneBytes === 0 && totalBytes === undefined ? "" : sizes;
  const cells = [
    label.padEnd(ID_WIDTH),
    status.slice(0, STATUS_WIDTH).padEnd(STATUS_WIDTH),
    bar(amount, width),
    amounts,
  ];
  return `  ${cells.join("  ")}`.trimEnd();
}

function bar({ doneBytes, totalBytes }: Pick<Layer, "doneBytes" | "totalBytes">, width: number): string {
  const filled = totalBytes === undefined ? 0 : Math.round((percent(doneBytes, totalBytes) / 100) * width);
  return `[${"=".repeat(filled)}${" ".repeat(width - filled)}]`;
}

/** Registries have told sizes that were exceeded, and of nothing everything is there. */
function percent(done: number, total: number): number {
  return total <= 0 ? 100 : Math.max(0, Math.min(100, Math.floor((done / total) * 100)));
}
