// The door to the Docker Engine, before an engine that a test makes.
import { createServer, type Server } from "node:http";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../src/lib/clock.ts";
import { DockerClient, LIMITS } from "../../../src/runtime/docker/client.ts";

const never = new AbortController().signal;

describe("the client of the Docker Engine", () => {
  let folder: string;
  let server: Server;
  let client: DockerClient;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "aim-docker-"));
    const socketPath = join(folder, "docker.sock");
    server = createServer((_, response) => response.end(JSON.stringify({ ApiVersion: "1.50" }))).listen(socketPath);
    await once(server, "listening");
    client = new DockerClient({ socketPath, clock: systemClock });
  });
  afterEach(async () => {
    client.close();
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true, force: true });
  });

  // dockerode described every open socket for each request, so that each cost as much as there were others.
  it("asks many things at once without holding up whatever else runs", async () => {
    await client.ping(never);
    const startedAt = performance.now();
    await Promise.all(Array.from({ length: 200 }, () => client.ping(never)));
    expect(performance.now() - startedAt).toBeLessThan(LIMITS.look / 2);
  });
});
