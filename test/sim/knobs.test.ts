import { describe, expect, it } from "vitest";
import { KNOB_FLAGS, knobHelp, readKnobs } from "../../src/sim/knobs.ts";

function read(env: Record<string, string>, flags: Record<string, string> = {}) {
  return readKnobs(new Map(Object.entries(flags).map(([name, value]) => [name, [value]])), env);
}

describe("readKnobs", () => {
  it("has no fault by default", () => {
    expect(read({})).toMatchObject({
      loadSeconds: 2,
      crashBeforeReady: undefined,
      stallAfterTokens: undefined,
      hang: false,
      html: "none",
      exitCode: 1,
    });
  });

  it("reads variables, and an empty one as unset", () => {
    expect(read({ AIM_SIM_LOAD_SECONDS: "0.5", AIM_SIM_OOM: "1", AIM_SIM_HTML: "" })).toMatchObject({
      loadSeconds: 0.5,
      oom: true,
      html: "none",
    });
  });

  it("lets a flag win over its variable", () => {
    expect(read({ AIM_SIM_LOAD_SECONDS: "1" }, { "sim-load-seconds": "3" }).loadSeconds).toBe(3);
    expect(read({ AIM_SIM_HANG: "1" }, { "sim-hang": "false" }).hang).toBe(false);
  });

  it.each([
    [{ AIM_SIM_LOAD_SECONDS: "soon" }, "variable AIM_SIM_LOAD_SECONDS: expected a number of seconds, got 'soon'"],
    [{ AIM_SIM_LOAD_SECONDS: "-1" }, "variable AIM_SIM_LOAD_SECONDS"],
    [{ AIM_SIM_CACHE_BLOCKS: "1.5" }, "expected a whole number (blocks), got '1.5'"],
    [{ AIM_SIM_IGNORE_SIGTERM: "yes" }, "expected 1 or 0, got 'yes'"],
    [{ AIM_SIM_HTML: "some" }, "expected none, inference or all, got 'some'"],
    [{ AIM_SIM_LOAD_SECOND: "1" }, "variable AIM_SIM_LOAD_SECOND: there is no such knob; see --sim-help"],
  ])("refuses %j", (env, message) => {
    expect(() => read(env)).toThrow(message);
  });

  it("names the flag when the flag is at fault", () => {
    expect(() => read({}, { "sim-exit-code": "one" })).toThrow("argument --sim-exit-code: expected");
  });
});

describe("knobHelp", () => {
  it("lists every knob by flag and by variable", () => {
    const help = knobHelp();
    for (const { name } of KNOB_FLAGS) {
      expect(help).toContain(`--${name}\n`);
      expect(help).toContain(`${name.replace("sim-", "AIM_SIM_").replaceAll("-", "_").toUpperCase()}=<`);
    }
  });
});
