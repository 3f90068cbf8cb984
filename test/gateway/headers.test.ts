import { describe, expect, it } from "vitest";
import { requestHeaders, responseHeaders } from "../../src/gateway/headers.ts";

function toBackend(rawHeaders: readonly string[], connection?: string, stream = false): string[] {
  return requestHeaders(rawHeaders, { connection, stream });
}

describe("requestHeaders", () => {
  it("passes on what is not said otherwise, repeated ones too", () => {
    const headers = ["Accept", "a", "X-Trace", "1", "x-trace", "2", "Content-Type", "application/json"];
    expect(toBackend(headers)).toEqual(["accept", "a", "x-trace", "1", "x-trace", "2"]);
  });

  it("refuses more than an engine takes, not counting what is dropped anyway", () => {
    expect(toBackend(["Cookie", "x".repeat(60_000), "x-a", "x".repeat(8_000)])).toHaveLength(2);
    expect(() => toBackend(["x-a", "x".repeat(9_000)])).toThrow(expect.objectContaining({ status: 400 }));
    const many = Array.from({ length: 65 }, (_, n) => [`x-${n}`, ""]).flat();
    expect(toBackend(many.slice(2))).toHaveLength(128);
    expect(() => toBackend(many)).toThrow(/more headers to pass on/);
  });

  it.each([
    "Authorization",
    "X-API-Key",
    "api-key",
    "Cookie",
    "Host",
    "Content-Length",
    "Expect",
    "Connection",
    "Keep-Alive",
    "Proxy-Authorization",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "Forwarded",
    "X-Real-IP",
    "X-Request-Id",
    "X-Aim-Priority",
    "x-aim-keep-alive",
    "x-aim-max-wait",
    "x-aim-anything",
  ])("drops %s", (name) => {
    expect(toBackend([name, "canary"])).not.toContain("canary");
  });

  it("drops what the Connection header names", () => {
    expect(toBackend(["X-Hop", "canary", "x-other", "kept"], "close, X-Hop")).toContain("kept");
    expect(toBackend(["X-Hop", "canary"], "close, X-Hop")).not.toContain("canary");
  });

  it("asks for a stream in plain text, and leaves the choice for other answers", () => {
    expect(toBackend(["Accept-Encoding", "gzip"], undefined, true).join()).toContain("accept-encoding,identity");
    expect(toBackend(["Accept-Encoding", "gzip"], undefined, true)).not.toContain("gzip");
    expect(toBackend(["Accept-Encoding", "gzip"])).toContain("gzip");
  });
});

describe("responseHeaders", () => {
  it("passes what describes the body", () => {
    const headers = ["content-type", "application/json", "content-encoding", "gzip", "content-length", "5"];
    expect(responseHeaders(headers)).toEqual(headers);
  });

  it.each([
    "connection",
    "keep-alive",
    "transfer-encoding",
    "trailer",
    "upgrade",
    "proxy-authenticate",
    "server",
    "date",
    "set-cookie",
    "x-request-id",
    "x-aim-replica",
    "x-vllm-internal",
    "x-internal-host",
    "access-control-allow-origin",
  ])("drops %s", (name) => {
    expect(responseHeaders([name, "canary"])).toEqual([]);
  });

  it("drops what the Connection header names", () => {
    expect(responseHeaders(["connection", "keep-alive, x-hop", "x-hop", "1", "x-kept", "2"])).toEqual(["x-kept", "2"]);
    const two = ["connection", "x-one", "connection", "x-two", "x-one", "1", "x-two", "2"];
    expect(responseHeaders(two)).toEqual([]);
  });
});
