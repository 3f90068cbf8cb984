import { describe, expect, it } from "vitest";
import { AimError, ERROR_KINDS, type ErrorCode } from "../../src/errors.ts";
import { forApiClients, renderError, renderErrorEvent } from "../../src/gateway/error-response.ts";

describe("renderError", () => {
  it("has OpenAI's shape for every code of the catalogue", () => {
    for (const code of Object.keys(ERROR_KINDS).filter(isCode)) {
      const { status, headers, body } = renderError(new AimError(code, "m", { param: "p" }));
      expect(status).toBe(ERROR_KINDS[code].status);
      expect(JSON.parse(body)).toEqual({ error: { message: "m", type: ERROR_KINDS[code].type, param: "p", code } });
      expect(headers).toMatchObject({
        "x-aim-source": "gateway",
        "x-should-retry": String(ERROR_KINDS[code].retryable),
      });
    }
  });

  it("keeps data, cause and stack to itself", () => {
    const error = new AimError("model_start_failed", "m", { data: { log: "canary" }, cause: new Error("canary") });
    expect(JSON.stringify(renderError(error))).not.toContain("canary");
  });

  it.each([
    [1, "1", "1000"],
    [1000, "1", "1000"],
    [1000.4, "2", "1001"],
    [41_200, "42", "41200"],
    [0, "1", "1000"],
    [-5, "1", "1000"],
  ])("says when to ask again: %d ms", (retryAfterMs, seconds, ms) => {
    const { headers } = renderError(new AimError("model_loading", "m", { retryAfterMs }));
    expect(headers).toMatchObject({ "retry-after": seconds, "retry-after-ms": ms });
  });

  it("says how to authenticate, what is allowed and that the connection ends, where that is the matter", () => {
    expect(renderError(new AimError("invalid_api_key", "m")).headers).toMatchObject({ "www-authenticate": "Bearer" });
    const refused = new AimError("method_not_supported", "m", { data: { allow: "POST" } });
    expect(renderError(refused).headers).toMatchObject({ allow: "POST" });
    expect(renderError(new AimError("shutting_down", "m")).headers).toMatchObject({ connection: "close" });
    expect(renderError(new AimError("internal_error", "m")).headers).not.toHaveProperty("retry-after");
  });
});

describe("forApiClients", () => {
  it.each([
    new Error("/etc/secret"),
    "text",
    new AimError("runtime_failed", "/etc/secret"),
    new AimError("invalid_recipe", "/etc/secret"),
  ])("turns %s into an internal error that keeps the cause for the log", (thrown) => {
    const error = forApiClients(thrown);
    expect(error).toMatchObject({ code: "internal_error", cause: thrown });
    expect(error.message).not.toContain("secret");
  });

  it("tells that a runtime is out of reach, but not where it is", () => {
    const error = forApiClients(new AimError("runtime_unavailable", "no /run/docker.sock", { retryAfterMs: 5 }));
    expect(error).toMatchObject({ code: "runtime_unavailable", status: 503, retryAfterMs: 5 });
    expect(error.message).not.toContain("docker.sock");
  });

  it("leaves other errors as they are", () => {
    const error = new AimError("queue_full", "m");
    expect(forApiClients(error)).toBe(error);
  });
});

describe("renderErrorEvent", () => {
  it("is one event on lines of its own", () => {
    expect(renderErrorEvent({ message: "a\nb" })).toBe('\n\ndata: {"error":{"message":"a\\nb"}}\n\n');
  });
});

function isCode(code: string): code is ErrorCode {
  return code in ERROR_KINDS;
}
