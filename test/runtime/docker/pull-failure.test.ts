import { describe, expect, it } from "vitest";
import { classifyPull } from "../../../src/runtime/docker/pull-failure.ts";

/** As Docker 20.10 to 29 say it, with either image store. */
const SAID = {
  image_not_found: [
    "manifest for rocm/vllm:no-such-tag not found: manifest unknown: manifest unknown",
    "manifest unknown",
    "repository 127.0.0.1:5000/x not found: name unknown: repository name not known to registry",
    'failed to resolve reference "docker.io/rocm/vllm:x": docker.io/rocm/vllm:x: not found',
    "invalid reference format: repository name must be lowercase",
  ],
  pull_unauthorized: [
    "pull access denied for acme/private, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
    'Head "https://registry.example/v2/a/manifests/1": no basic auth credentials',
    "unauthorized: authentication required",
    'Head "https://ghcr.io/v2/acme/x/manifests/1": denied: denied',
    "unexpected status from HEAD request to https://ghcr.io/v2/a/manifests/1: 403 Forbidden",
    "error parsing HTTP 403 response body: invalid character '<' looking for beginning of value",
    'Get "https://registry.example/v2/": unauthorized: incorrect username or password',
    "failed to authorize: insufficient_scope: authorization failed",
  ],
  registry_unreachable: [
    'Get "https://registry.nowhere/v2/": dial tcp: lookup registry.nowhere on 127.0.0.53:53: no such host',
    'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused',
    'Get "https://registry.example/v2/": x509: certificate signed by unknown authority',
    'Get "https://registry.example:5000/v2/": http: server gave HTTP response to HTTPS client',
    'Get "https://registry-1.docker.io/v2/": net/http: TLS handshake timeout',
    'Get "https://registry-1.docker.io/v2/": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)',
    'Get "https://registry-1.docker.io/v2/": context deadline exceeded',
    'Get "https://registry-1.docker.io/v2/": dial tcp 3.94.224.37:443: i/o timeout',
    "dial tcp: lookup registry-1.docker.io: Temporary failure in name resolution",
    "error pulling image configuration: download failed after attempts=6: dial tcp 10.0.0.1:443: connect: no route to host",
  ],
  pull_interrupted: [
    "unexpected EOF",
    "download failed after attempts=6: unexpected EOF",
    'Get "http://127.0.0.1:5000/v2/x/manifests/1": EOF',
    "read tcp 10.0.0.2:34562->10.0.0.1:443: read: connection reset by peer",
    "filesystem layer verification failed for digest sha256:abc",
  ],
  disk_full: [
    "failed to register layer: Error processing tar file(exit status 1): write /big: no space left on device",
    "write /var/lib/docker/tmp/GetImageBlob123: no space left on device",
  ],
  wrong_architecture: [
    "no matching manifest for linux/arm64/v8 in the manifest list entries",
    "image with reference rocm/vllm was found but does not match the specified platform: wanted linux/amd64, actual: linux/arm64",
    'image operating system "windows" cannot be used on this platform: operating system is not supported',
  ],
  pull_failed: [
    "toomanyrequests: You have reached your pull rate limit.",
    "received unexpected HTTP status: 503 Service Unavailable",
    "something that nobody has seen before",
  ],
} as const;

describe("why a pull failed", () => {
  const cases = Object.entries(SAID).flatMap(([code, texts]) => texts.map((text) => [code, text] as const));

  it.each(cases)("is %s for: %s", (code, text) => {
    expect(classifyPull(text).code).toBe(code);
  });

  it.each(cases)("comes with advice (%s: %s)", (_, text) => {
    expect(classifyPull(text).advice).not.toBe("");
  });
});
