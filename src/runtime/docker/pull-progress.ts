// What Docker tells while it pulls, line by line, added up: how far each layer is, and all of them together.
import { z } from "zod";
import type { LayerProgress, PullProgress } from "../driver.ts";

/** Images have 127 layers at most; whatever else a registry makes up is counted, but not listed. */
const MAX_LISTED = 200;

const pullLine = z.object({
  status: z.string().default(""),
  id: z.string().optional(),
  progressDetail: z.object({ current: z.number().optional(), total: z.number().optional() }).optional(),
  // Old daemons send `error`, new ones only `errorDetail`.
  error: z.string().optional(),
  errorDetail: z.object({ message: z.string() }).optional(),
});

/** One line of a pull; `error` is the failure that Docker reports inside an answer that began with 200. */
export interface PullLine {
  readonly status: string;
  readonly id?: string;
  readonly current?: number;
  readonly total?: number;
  readonly error?: string;
}

/** Undefined for a line of a shape that we do not know: it carries no progress, and is no failure either. */
export function readPullLine(line: unknown): PullLine | undefined {
  const parsed = pullLine.safeParse(line);
  if (!parsed.success) return undefined;
  const { status, id, progressDetail: { current, total } = {}, errorDetail } = parsed.data;
  const error = errorDetail?.message ?? parsed.data.error;
  return {
    status,
    ...(id === undefined ? {} : { id }),
    ...(current === undefined ? {} : { current }),
    ...(total === undefined ? {} : { total }),
    ...(error === undefined ? {} : { error }),
  };
}

/** Docker lost the connection and counts down to its next try: no sign of life of the registry. */
export function isRetry(line: PullLine): boolean {
  return line.status.startsWith("Retrying in");
}

interface Layer {
  readonly status: string;
  /** Of the step that the status names: extraction counts bytes, too. */
  readonly step: { readonly done: number; readonly total: number | undefined };
  /** Of the download. */
  readonly done: number;
  readonly total: number | undefined;
}

const UNKNOWN: Layer = { status: "", step: { done: 0, total: undefined }, done: 0, total: undefined };

/** The layers of one pull, in the order Docker named them. */
export class Layers {
  readonly #layers = new Map<string, Layer>();

  add(line: PullLine): void {
    if (line.id === undefined) return;
    const known = this.#layers.get(line.id);
    // Other lines bear an id, too: "Pulling from rocm/vllm" has the tag.
    if (known === undefined && !FIRST_WORDS.has(line.status)) return;
    this.#layers.set(line.id, follow(known ?? UNKNOWN, line));
  }

  progress(): PullProgress {
    const layers = [...this.#layers];
    const doneBytes = layers.reduce((sum, [, layer]) => sum + layer.done, 0);
    const isKnown = layers.length > 0 && layers.every(([, layer]) => layer.total !== undefined);
    const totalBytes = isKnown ? layers.reduce((sum, [, layer]) => sum + (layer.total ?? 0), 0) : undefined;
    return { doneBytes, totalBytes, layers: layers.slice(0, MAX_LISTED).map(toProgress) };
  }
}

/** What is first said of a layer; a small one may be done before anything else is. */
const FIRST_WORDS = new Set([
  "Pulling fs layer",
  "Waiting",
  "Downloading",
  "Verifying Checksum",
  "Download complete",
  "Extracting",
  "Pull complete",
  "Already exists",
]);

function follow(known: Layer, { status, current, total }: PullLine): Layer {
  switch (status) {
    case "Downloading": {
      const download = { done: current ?? known.done, total: total ?? known.total };
      return { status, step: download, ...download };
    }
    case "Extracting":
      return { ...known, status, step: { done: current ?? 0, total: total ?? known.total } };
    case "Verifying Checksum":
    case "Download complete":
    case "Pull complete":
    case "Already exists": {
      // Small layers are done before their size was ever told; those that are there already never have one.
      const bytes = known.total ?? known.done;
      return { status, step: { done: bytes, total: bytes }, done: bytes, total: bytes };
    }
    // "Pulling fs layer", "Waiting", "Retrying in 5 seconds", and whatever newer versions say.
    default:
      return { ...known, status };
  }
}

function toProgress([id, { status, step }]: readonly [string, Layer]): LayerProgress {
  return { id, status, doneBytes: step.done, totalBytes: step.total };
}
