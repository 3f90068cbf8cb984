// The mock backend and the load generator, compiled when a benchmark begins: JavaScript could not drive 60,000 events/s from one core.
import { execFile, spawnSync } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

export interface Native {
  /** Path of the mock backend. */
  readonly mock: string;
  /** Path of the load generator. */
  readonly load: string;
}

const SOURCES = join(import.meta.dirname, "native");

/** Compiles both into a folder. */
export async function compileNative(folder: string): Promise<Native> {
  if (!isInstalled("cc"))
    throw new Error("bench:proxy needs a C compiler: install gcc or clang, so that there is a cc");
  if (!isInstalled("taskset")) throw new Error("bench:proxy needs taskset, which is in util-linux");
  const compile = async (name: string) => {
    const program = join(folder, name);
    await promisify(execFile)("cc", ["-O2", "-o", program, join(SOURCES, `${name}.c`)]);
    return program;
  };
  return { mock: await compile("mock"), load: await compile("load") };
}

/** Whether there is a program of that name to be run. */
export function isInstalled(program: string): boolean {
  return spawnSync("sh", ["-c", `command -v ${program}`]).status === 0;
}
