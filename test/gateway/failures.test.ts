import { describe, expect, it } from "vitest";
import { type FakeStream, startFakeBackend } from "../support/fake-backend.ts";
import { FakeClock } from "../support/clock.ts";
import { until } from "../support/until.ts";
import { startFrozenListener } from "./frozen-listener.ts";
import { MODEL, SETTINGS, startGateway } from "./harness.ts";

/** An address that nobody listens on any more. */
async function deadAddress(): Promise<URL> {
  const backend = await startFakeBackend();
  await backend.close();
  return backend.address;
}

async function errorOf(response: Response) {
  const { error }: { error: { code: string; message: string } } = JSON.parse(await response.text());
  return { status: response.status, code: error.code, source: response.headers.get("x-aim-source") };
}

/** The error event a stream ends with. */
function lastEvent(text: string) {
  expect(text).not.toContain("[DONE]");
  expect(text.endsWith("\n\n")).toBe(true);
  const event = text.trimEnd().split("\n\n").at(-1) ?? "";
  expect(event).toMatch(/^data: /);
  return JSON.parse(event.slice("data: ".length));
}

describe("replicas that cannot be reached", () => {
  it("are reported, and the whole request goes to another", async () => {
    const live = await startFakeBackend();
    const gateway = await startGateway({ addresses: [await deadAddress(), live.address] });
    const messages = [{ role: "user", content: "x".repeat(3_000_000) }];
    const response = await gateway.chat({ messages });
    expect(response.status).toBe(200);
    expect(response.headers.get("x-aim-replica")).toBe("replica-2");
    expect((await live.nextRequest()).body.toString()).toBe(JSON.stringify({ model: MODEL, messages }));
    expect(gateway.pool.leases.map(({ outcomes }) => outcomes.map(({ kind }) => kind))).toEqual([
      ["unreachable"],
      ["completed"],
    ]);
    expect(await gateway.counter("aim_retries_total", { model: MODEL })).toBe(1);
    await live.close();
  });

  it("include those that do not even refuse the connection", async () => {
    const live = await startFakeBackend();
    const addresses = [(await startFrozenListener()).address, live.address];
    const gateway = await startGateway({ addresses, settings: { connectTimeoutMs: 200 } });
    expect((await gateway.chat()).headers.get("x-aim-replica")).toBe("replica-2");
    expect(gateway.pool.leases[0]!.outcomes).toMatchObject([{ kind: "unreachable" }]);
    await live.close();
  });

  it("are no more than one other where they may have died of the request itself", async () => {
    const backends = await Promise.all([1, 2, 3].map(() => startFakeBackend()));
    const deaths = backends.map((backend) => {
      const died = Promise.withResolvers<void>();
      backend.respond(({ headers }, reply) => {
        if (headers.accept === "poison/all") backend.close().then(died.resolve, died.reject);
        else reply.json(200, { ok: true });
      });
      return died.promise;
    });
    const gateway = await startGateway({ addresses: backends.map(({ address }) => address) });
    for (const _ of backends) expect((await gateway.chat()).status).toBe(200);
    const response = await gateway.chat({}, { headers: { accept: "poison/all" } });
    expect(await errorOf(response)).toMatchObject({ status: 502, code: "bad_gateway" });
    await Promise.all(deaths.slice(0, 2));
    expect(backends.map(({ requests }) => requests.length)).toEqual([2, 2, 1]);
    await backends[2]!.close();
  });

  it("end the request after three tries", async () => {
    const gateway = await startGateway({ addresses: [await deadAddress()] });
    expect(await errorOf(await gateway.chat())).toEqual({ status: 502, code: "bad_gateway", source: "gateway" });
    expect(gateway.pool.leases).toHaveLength(3);
    const [line] = await gateway.ended();
    expect(line).toMatchObject({
      status: 502,
      outcome: "bad_gateway",
      reason: expect.stringContaining("ECONNREFUSED"),
    });
  });

  it("are told of without an address", async () => {
    const gateway = await startGateway({ addresses: [await deadAddress()] });
    expect(await (await gateway.chat()).text()).not.toMatch(/127\.0\.0\.1|ECONNREFUSED/);
  });
});

describe("a kept-alive connection that the backend closed", () => {
  it("costs no request an error", async () => {
    const gateway = await startGateway();
    for (let round = 0; round < 20; round++) {
      expect((await gateway.chat()).status).toBe(200);
      // Closes instead of answering, as a server does whose idle timer fires while the request is on its way.
      gateway.backend.respondOnce((_, reply) => (round % 2 === 0 ? reply.cut() : reply.reset()));
      const response = await gateway.chat();
      expect([round, response.status]).toEqual([round, 200]);
      await response.text();
      // The second try went out on a connection of its own, which cannot have been closed in the meantime.
      const [last, ...earlier] = gateway.backend.requests.map(({ connection }) => connection).reverse();
      expect(earlier).not.toContain(last);
    }
    expect(gateway.pool.leases.flatMap(({ outcomes }) => outcomes)).toEqual(
      Array.from({ length: 40 }, () => ({ kind: "completed" })),
    );
  });

  it("is not used when it was closed while idle", async () => {
    const gateway = await startGateway();
    for (let round = 0; round < 20; round++) {
      const response = await gateway.chat();
      expect(response.status).toBe(200);
      await response.text();
      gateway.backend.closeIdle();
    }
    expect(gateway.backend.requests).toHaveLength(20);
  });

  it("is given one new connection only", async () => {
    const gateway = await startGateway();
    await (await gateway.chat()).text();
    gateway.backend.respond((_, reply) => reply.cut());
    expect(await errorOf(await gateway.chat())).toMatchObject({ status: 502, code: "bad_gateway" });
    expect(gateway.backend.requests).toHaveLength(3);
  });
});

describe("a backend that fails after it took the request", () => {
  it.each(["cut", "reset"] as const)("is not asked again on a new connection: %s", async (how) => {
    const gateway = await startGateway();
    gateway.backend.respond((_, reply) => reply[how]());
    expect(await errorOf(await gateway.chat())).toEqual({ status: 502, code: "bad_gateway", source: "gateway" });
    expect(gateway.backend.requests).toHaveLength(1);
    expect(gateway.pool.leases[0]!.outcomes).toMatchObject([{ kind: "broken" }]);
    expect(await gateway.counter("aim_stream_aborts_total", { side: "backend", phase: "first_byte" })).toBe(1);
  });

  it.each(["garbage\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Le"])(
    "answers 502 for %j",
    async (bytes) => {
      const gateway = await startGateway();
      gateway.backend.respond((_, reply) => {
        reply.raw(bytes);
        reply.cut();
      });
      expect(await errorOf(await gateway.chat())).toMatchObject({ status: 502, code: "bad_gateway" });
    },
  );

  it.each(["cut", "reset"] as const)("ends a stream with one error event: %s", async (how) => {
    const gateway = await startGateway();
    const opened = Promise.withResolvers<FakeStream>();
    gateway.backend.respond((_, reply) => opened.resolve(reply.sse()));
    const response = await gateway.chat({ stream: true });
    const parts = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    const stream = await opened.promise;
    await stream.push("one");
    expect((await parts.read()).value).toBe("data: one\n\n");
    stream[how]();
    const text = (await parts.read()).value ?? "";
    expect((await parts.read()).done).toBe(true);
    expect(lastEvent(text)).toEqual({
      error: {
        message: "the backend broke off in the middle of its answer",
        type: "server_error",
        param: null,
        code: "upstream_error",
      },
    });
    const [line] = await gateway.ended();
    expect(line).toMatchObject({ status: 502, outcome: "upstream_error" });
    expect(gateway.pool.leases[0]!.outcomes).toMatchObject([{ kind: "broken" }]);
  });

  it.each([{ stream: false }, { stream: true }])(
    "becomes bad_gateway where a page stands in for it (stream: $stream)",
    async ({ stream }) => {
      const gateway = await startGateway();
      const headers = { "content-type": "text/html" };
      gateway.backend.respond((_, reply) => reply.body(200, "<h1>sign in</h1>", headers));
      const answer = await errorOf(await gateway.chat({ stream }));
      expect(answer).toEqual({ status: 502, code: "bad_gateway", source: "gateway" });
      expect(gateway.pool.leases[0]!.outcomes).toMatchObject([{ kind: "bad_answer" }]);
    },
  );

  it("is passed on as the page it is where its status says that it is no success", async () => {
    const gateway = await startGateway();
    gateway.backend.respond((_, reply) => reply.body(500, "<h1>oops</h1>", { "content-type": "text/html" }));
    const response = await gateway.chat();
    expect([response.status, await response.text()]).toEqual([500, "<h1>oops</h1>"]);
  });

  it("puts the error event on a line of its own when an event was cut in two", async () => {
    const gateway = await startGateway();
    gateway.backend.respond(async (_, reply) => {
      const stream = reply.sse();
      await stream.write('data: {"half":');
      stream.cut();
    });
    expect(lastEvent(await (await gateway.chat({ stream: true })).text())).toHaveProperty("error");
  });

  it("tells of an answer that is sent in one piece by its status", async () => {
    const gateway = await startGateway();
    gateway.backend.respond((_, reply) => {
      reply.raw('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"half":');
      reply.cut();
    });
    const response = await gateway.chat();
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ error: { code: "upstream_error" } });
    expect((await gateway.ended())[0]).toMatchObject({ outcome: "upstream_error", bytes: 8 });
  });

  it("cuts a long answer with a length, so that it cannot look complete", async () => {
    const gateway = await startGateway();
    gateway.backend.respond((_, reply) => {
      reply.raw('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n{"half":');
      reply.cut();
    });
    await expect(gateway.chat().then((response) => response.text())).rejects.toThrow();
    const [line] = await gateway.ended();
    expect(line).toMatchObject({ outcome: "upstream_error", bytes: 8 });
  });

  it("cuts a compressed stream, to which no text can be added", async () => {
    const gateway = await startGateway();
    gateway.backend.respond(async (_, reply) => {
      const stream = reply.sse({ "content-encoding": "x-unknown" });
      await stream.write("bytes");
      stream.cut();
    });
    await expect(gateway.chat({ stream: true }).then((response) => response.text())).rejects.toThrow();
  });
});

describe("silence", () => {
  it("before the first byte ends in upstream_timeout and stops the backend", async () => {
    const clock = new FakeClock();
    const gateway = await startGateway({ clock });
    gateway.backend.respond(() => {});
    const response = gateway.chat();
    const request = await gateway.backend.nextRequest();
    await clock.advance(SETTINGS.firstByteTimeoutMs);
    expect(await errorOf(await response)).toEqual({ status: 504, code: "upstream_timeout", source: "gateway" });
    expect(await request.ended).toBe("aborted");
    expect(gateway.pool.leases[0]!.outcomes).toMatchObject([{ kind: "timeout" }]);
    expect(clock.pending).toBe(0);
  });

  it("is measured from the last byte, however long the answer takes as a whole", async () => {
    const clock = new FakeClock();
    const gateway = await startGateway({ clock });
    const opened = Promise.withResolvers<FakeStream>();
    gateway.backend.respond((_, reply) => opened.resolve(reply.sse()));
    const response = await gateway.chat({ stream: true });
    const stream = await opened.promise;
    const parts = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = 0; part < 5; part++) {
      await stream.push(part);
      expect((await parts.read()).value).toBe(`data: ${part}\n\n`);
      await clock.advance(SETTINGS.idleTimeoutMs - 1);
    }
    await clock.advance(1);
    expect((await parts.read()).value).toContain("upstream_timeout");
    expect((await parts.read()).done).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it("of the client, which does not read, frees the replica too", async () => {
    const clock = new FakeClock();
    const gateway = await startGateway({ clock });
    let sent = 0;
    gateway.backend.respond(async (_, reply) => {
      const stream = reply.sse();
      for (; sent < 1000; sent++) await stream.write(Buffer.alloc(64 * 1024, "x"));
      stream.end();
    });
    const response = await gateway.chat({ stream: true });
    const request = await gateway.backend.nextRequest();
    // Everything on the way is full, and the gateway has stopped reading.
    const seen: number[] = [];
    await until(() => sent > 0 && seen.push(sent) > 20 && seen.at(-20) === sent);
    await clock.advance(2 * SETTINGS.idleTimeoutMs);
    expect(await request.ended).toBe("aborted");
    expect(gateway.pool.leases[0]!.outcomes).toEqual([{ kind: "client_gone" }]);
    await response.body!.cancel();
  });
});
