import { describe, expect, it } from "vitest";
import { isAimError } from "../../../src/errors.ts";
import { readJsonLines } from "../../../src/runtime/docker/json-lines.ts";

async function* chunks(...texts: readonly string[]): AsyncGenerator<Buffer> {
  for (const text of texts) yield Buffer.from(text, "latin1");
}

function utf8(text: string): string {
  return Buffer.from(text).toString("latin1");
}

async function read(source: AsyncIterable<Buffer>): Promise<unknown[]> {
  const values: unknown[] = [];
  for await (const value of readJsonLines(source, "pull image x")) values.push(value);
  return values;
}

describe("readJsonLines", () => {
  it("reads one value per line, wherever the chunks are cut", async () => {
    const source = chunks(utf8('{"a":"✓').slice(0, -1), utf8('✓"}').slice(2), '\r\n\n{"b":', "2}\n3");
    expect(await read(source)).toEqual([{ a: "✓" }, { b: 2 }, 3]);
  });

  it.each([
    ['{"a":1}\n{"b":', "cut in the middle"],
    ["<html>\n", "another format"],
  ])("fails for %j, and says what was asked for", async (text) => {
    const error: unknown = await read(chunks(text)).catch((error: unknown) => error);
    expect(isAimError(error, "runtime_failed")).toBe(true);
    expect(String(error)).toContain("pull image x");
  });

  it("gives up on a line that never ends", async () => {
    async function* endless(): AsyncGenerator<Buffer> {
      for (;;) yield Buffer.alloc(1 << 16, "x");
    }
    await expect(read(endless())).rejects.toThrow("unreadable");
  });

  it("fails as the stream does", async () => {
    async function* broken(): AsyncGenerator<Buffer> {
      yield Buffer.from("1\n");
      throw new Error("cut");
    }
    await expect(read(broken())).rejects.toThrow("cut");
  });
});
