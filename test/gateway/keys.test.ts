import { describe, expect, it } from "vitest";
import { createKeyCheck } from "../../src/gateway/keys.ts";

const check = createKeyCheck(["first-key", "second-key"]);

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

  it("asks nobody for a key where none is configured", () => {
    expect(() => createKeyCheck([])(["Authorization", "Bearer whatever"])).not.toThrow();
  });
});
