import { describe, expect, it } from "vitest";
import { checkHost, loopbackHosts } from "../../src/gateway/hosts.ts";

describe("checkHost", () => {
  const allowed = loopbackHosts("127.0.0.1");

  it.each(["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "127.0.0.1", "[::1]:8080"])("admits %s", (host) => {
    expect(() => checkHost(["Host", host], allowed)).not.toThrow();
  });

  it.each(["evil.example", "localhost.evil.example", "127.0.0.1.nip.io:8080", "", "a/#@localhost", "0.0.0.0"])(
    "refuses %j",
    (host) => {
      expect(() => checkHost(["Host", host], allowed)).toThrow(
        expect.objectContaining({ code: "forbidden_host", status: 403 }),
      );
    },
  );

  it("admits the loopback address it was bound to", () => {
    expect(() => checkHost(["host", "127.0.0.5:1"], loopbackHosts("127.0.0.5"))).not.toThrow();
    expect(() => checkHost(["host", "[::1]:1"], loopbackHosts("::1"))).not.toThrow();
  });

  it("admits any host where others can reach the gateway anyway", () => {
    expect(() => checkHost(["host", "gpu-7.example"], undefined)).not.toThrow();
  });

  it("refuses two Host headers, whatever they say", () => {
    expect(() => checkHost(["Host", "localhost", "host", "localhost"], undefined)).toThrow(
      expect.objectContaining({ status: 400 }),
    );
  });
});
