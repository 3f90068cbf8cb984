import { describe, expect, it } from "vitest";
import { createKeyCheck } from "../../src/gateway/keys.ts";
import { apiKey } from "./harness.ts";

const check = createKeyCheck([
  apiKey("first-key", { name: "ci" }),
  apiKey("second-key", { name: "team", weight: 3, priority: "low", mayStart: false }),
]);

describe("createKeyCheck", () => {
  it.each([
    [["Authorization", "Bearer first-key"]],
    [["authorization", "bearer second-key"]],
    [["X-Api-Key", "second-key"]],
    [["Authorization", "Bearer first-key", "x-api-key", "first-key"]],
  ])("admits %j", (headers) => {
    expect(() => check(headers)).not.toThrow();
  });

  it.each([
    [[]],
    [["Authorization", "Bearer"]],
    [["Authorization", "Bearer "]],
    [["Authorization", "first-key"]],
    [["Authorization", "Basic Zmlyc3Qta2V5"]],
    [["Authorization", "Bearer first-key second-key"]],
    [["Authorization", "Bearer ' OR '1'='1"]],
    [["Authorization", `Bearer ${"k".repeat(60_000)}`]],
    [["Authorization", "Bearer first-kéy"]],
    [["x-api-key", ""]],
    [["api-key", "first-key"]],
    [["Cookie", "authorization=first-key"]],
  ])("refuses %j", (headers) => {
    expect(() => check(headers)).toThrow(expect.objectContaining({ code: "invalid_api_key", status: 401 }));
  });

  it.each([
    [["Authorization", "Bearer first-key", "x-api-key", "second-key"]],
    [["Authorization", "Bearer first-key", "Authorization", "Bearer other"]],
    [["Authorization", "Basic abc", "x-api-key", "first-key"]],
  ])("refuses two keys that differ, even where one is right: %j", (headers) => {
    expect(() => check(headers)).toThrow(/more than one API key/);
  });

  it("tells whose key it was and what is granted to that one, and never the key", () => {
    expect(check(["Authorization", "Bearer first-key"])?.name).toBe("ci");
    expect(check(["x-api-key", "second-key"])).toEqual({ name: "team", weight: 3, priority: "low", mayStart: false });
  });

  it("asks nobody for a key where none is configured, and knows nobody then", () => {
    expect(createKeyCheck([])(["Authorization", "Bearer whatever"])).toBeUndefined();
  });
});
