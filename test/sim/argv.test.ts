import { describe, expect, it } from "vitest";
import { parseArgv } from "../../src/sim/argv.ts";

const SYNTAX = {
  kinds: { port: "value", "served-model-name": "list", "enable-x": "switch", "tensor-parallel-size": "value" },
  aliases: { tp: "tensor-parallel-size" },
} as const;

function parse(...argv: string[]) {
  const { positionals, values, unknown } = parseArgv(argv, SYNTAX);
  return { positionals, values: Object.fromEntries(values), unknown };
}

describe("parseArgv", () => {
  it.each([
    ["a value after a space", ["--port", "1"], { port: ["1"] }],
    ["a value after an equals sign", ["--port=1"], { port: ["1"] }],
    ["an empty value", ["--port="], { port: [""] }],
    ["a value with an equals sign", ["--port=a=b"], { port: ["a=b"] }],
    ["a negative number", ["--port", "-1"], { port: ["-1"] }],
    ["the last of two", ["--port", "1", "--port", "2"], { port: ["2"] }],
    ["a short name", ["-tp", "4"], { "tensor-parallel-size": ["4"] }],
    ["underscores", ["--tensor_parallel_size", "4"], { "tensor-parallel-size": ["4"] }],
    ["a bare switch", ["--enable-x"], { "enable-x": ["true"] }],
    ["a switch that is off", ["--no-enable-x"], { "enable-x": ["false"] }],
    ["a switch with a value", ["--enable-x=0"], { "enable-x": ["0"] }],
    ["several values", ["--served-model-name", "a", "b"], { "served-model-name": ["a", "b"] }],
    [
      "several values, repeated",
      ["--served-model-name", "a", "--served-model-name", "b"],
      { "served-model-name": ["a", "b"] },
    ],
  ])("reads %s", (_, argv, values) => {
    expect(parse(...argv).values).toEqual(values);
  });

  it("keeps what is no flag, and does not take it for a switch's value", () => {
    expect(parse("model", "--enable-x", "more").positionals).toEqual(["model", "more"]);
  });

  it("notes unknown flags with what follows them", () => {
    expect(parse("model", "--foo", "1", "2", "--bar=3", "-O3", "--port", "1").unknown).toEqual([
      "--foo 1 2",
      "--bar=3",
      "-O3",
    ]);
  });

  it.each([
    [["--port"], "argument --port: expected one argument"],
    [["--port", "--enable-x"], "argument --port: expected one argument"],
    [["--served-model-name"], "argument --served-model-name: expected at least one argument"],
  ])("refuses %j as argparse does", (argv, message) => {
    expect(() => parse(...argv)).toThrow(message);
  });
});
