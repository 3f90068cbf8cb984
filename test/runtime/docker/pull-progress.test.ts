import { describe, expect, it } from "vitest";
import { isRetry, Layers, readPullLine } from "../../../src/runtime/docker/pull-progress.ts";

/** What is told of whom, and how many bytes are then done, of how many. */
const TOLD = [
  [{ status: "Pulling from rocm/vllm", id: "latest" }, 0, undefined],
  [{ status: "Pulling fs layer", id: "a" }, 0, undefined],
  [{ status: "Waiting", id: "b" }, 0, undefined],
  [{ status: "Already exists", id: "c" }, 0, undefined],
  [{ status: "Downloading", id: "a", progressDetail: { current: 50, total: 100 } }, 50, undefined],
  [{ status: "Downloading", id: "b", progressDetail: { current: 10, total: 30 } }, 60, 130],
  [{ status: "Retrying in 5 seconds", id: "b", progressDetail: {} }, 60, 130],
  [{ status: "Download complete", id: "b", progressDetail: {} }, 80, 130],
  [{ status: "Extracting", id: "b", progressDetail: { current: 1, total: 30 } }, 80, 130],
  [{ shape: ["of", "tomorrow"], status: 7 }, 80, 130],
  [{ status: "Digest: sha256:abc" }, 80, 130],
  [{ status: "Pull complete", id: "a" }, 130, 130],
] as const;

function tell(lines: readonly unknown[]): Layers {
  const layers = new Layers();
  for (const line of lines) {
    const read = readPullLine(line);
    if (read !== undefined) layers.add(read);
  }
  return layers;
}

describe("the progress of a pull", () => {
  const steps = TOLD.map(([line, done, total], index) => [line.status, index, done, total] as const);

  it.each(steps)("after %j (%i) is %j bytes of %j", (_, index, doneBytes, totalBytes) => {
    const progress = tell(TOLD.slice(0, index + 1).map(([line]) => line)).progress();
    expect(progress).toMatchObject({ doneBytes, totalBytes });
  });

  it("tells of each layer what Docker last said, with the bytes of that step", () => {
    const { layers } = tell(TOLD.slice(0, 9).map(([line]) => line)).progress();
    expect(layers).toEqual([
      { id: "a", status: "Downloading", doneBytes: 50, totalBytes: 100 },
      { id: "b", status: "Extracting", doneBytes: 1, totalBytes: 30 },
      { id: "c", status: "Already exists", doneBytes: 0, totalBytes: 0 },
    ]);
  });

  it("lists 200 layers at most, and counts them all", () => {
    const lines = Array.from({ length: 300 }, (_, index) => ({
      status: "Downloading",
      id: `layer-${index}`,
      progressDetail: { current: 1, total: 2 },
    }));
    const progress = tell(lines).progress();
    expect(progress.layers).toHaveLength(200);
    expect(progress).toMatchObject({ doneBytes: 300, totalBytes: 600 });
  });

  it("finds the failure inside a good answer, in the words of old daemons and new ones", () => {
    expect(readPullLine({ error: "old" })?.error).toBe("old");
    expect(readPullLine({ errorDetail: { message: "new" }, error: "old" })?.error).toBe("new");
  });

  it("knows a countdown to the next try", () => {
    expect(isRetry({ status: "Retrying in 1 second", id: "a" })).toBe(true);
    expect(isRetry({ status: "Downloading", id: "a" })).toBe(false);
  });
});
