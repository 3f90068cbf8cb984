import { describe, expect, it } from "vitest";
import { messageOf } from "../../../src/errors.ts";
import { explain, statusOf } from "../../../src/runtime/docker/errors.ts";

describe("what Docker refuses", () => {
  it("is told in its own words, once", async () => {
    const said = "(HTTP code 500) server error - dial tcp 127.0.0.1:5000: connect: connection refused ";
    const error = await explain(Object.assign(new Error(said), { statusCode: 500 }), "pull image acme/a", "/socket");
    expect(messageOf(error)).toBe(
      "Docker refused to pull image acme/a: dial tcp 127.0.0.1:5000: connect: connection refused",
    );
    expect(statusOf(error)).toBe(500);
  });
});
