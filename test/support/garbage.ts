// What memory is really in use: what nobody refers to any more is collected first.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Collects all garbage, in the whole process, at once. */
export function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
}

/** Bytes that are in use, inside and outside of the heap. */
export function bytesInUse(): number {
  collectGarbage();
  // Another thread frees what buffers held, in its own time: only the next collection waits for that and counts it off.
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
