import { connect } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { eventStream, HEARTBEAT_MS, MAX_UNREAD_BYTES } from "../../src/admin/event-stream.ts";
import { NDJSON, valueStream } from "../../src/admin/value-stream.ts";
import { EventLog } from "../../src/telemetry/events.ts";
import { FakeClock, settle } from "../support/clock.ts";
import { until } from "../support/until.ts";
import { startAdminServer, type AdminServer } from "./admin-server.ts";
import { makeModel, ScriptedView } from "./scripted-view.ts";

let view: ScriptedView;
let server: AdminServer;

beforeEach(async () => {
  view = new ScriptedView();
  server = await startAdminServer(view);
});

afterEach(() => server.close());

/** A request whose body is read as it comes. */
async function open(path: string, headers: Record<string, string> = {}) {
  const leaving = new AbortController();
  const response = await fetch(server.url + path, { headers, signal: leaving.signal });
  let text = "";
  let ended = false;
  const reading = (async () => {
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) text += chunk;
    ended = true;
  })().catch(() => undefined);
  return {
    response,
    read: () => text,
    ended: () => ended,
    has: (part: string) => until(() => text.includes(part), { what: `"${part}" in the stream` }),
    async leave() {
      leaving.abort();
      await reading;
    },
  };
}

const publish = (message: string) => server.events.publish({ type: "replica:ready", message });

describe("the event stream", () => {
  it("begins with what was missed and goes on live", async () => {
    publish("one");
    publish("two");
    const stream = await open("/api/events", { "last-event-id": "1" });
    expect(stream.response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    expect(stream.response.headers.get("cache-control")).toBe("no-store");
    await stream.has('"message":"two"');
    publish("three");
    await stream.has('"message":"three"');
    expect(stream.read()).toMatch(/^retry: 2000\n\nid: 2\ndata: \{.*"two"\}\n\nid: 3\ndata: \{.*"three"\}\n\n$/);
    await stream.leave();
  });

  it("is about what was asked for: a type by its first words, a model, a replica", async () => {
    view.modelList = [makeModel({ model: "big", aliases: ["b"] })];
    const tell = (type: string, model: string, replica?: string) =>
      server.events.publish({ type, message: `${type} ${model}`, model, ...(replica && { replica }) });
    tell("decision:stop:evicted", "big", "big-1");
    tell("decisions:other", "big");
    tell("replica:ready", "demo", "demo-1");
    const messages = async (query: string) => {
      const response = await fetch(`${server.url}/api/events?${query}`, { headers: { accept: "application/json" } });
      const { events } = (await response.json()) as { events: { message: string }[] };
      return events.map(({ message }) => message);
    };
    expect(await messages("type=decision")).toEqual(["decision:stop:evicted big"]);
    expect(await messages("type=decision:stop:evicted&model=big")).toEqual(["decision:stop:evicted big"]);
    expect(await messages("type=decision:st")).toEqual([]);
    expect(await messages("model=demo&type=")).toEqual(["replica:ready demo"]);
    expect(await messages("replica=big-1&model=demo")).toEqual([]);
    expect(await messages("model=b&type=decision")).toEqual(["decision:stop:evicted big"]);
    const stream = await open("/api/events?model=demo");
    tell("decision:start:requests", "big");
    tell("decision:start:requests", "demo");
    await stream.has("decision:start:requests demo");
    expect(stream.read()).not.toContain(" big");
    await stream.leave();
  });

  it("lets go of the log when the client leaves", async () => {
    const stream = await open("/api/events");
    await until(() => server.events.followers === 1);
    await stream.leave();
    await until(() => server.events.followers === 0);
    expect(server.errors).toEqual([]);
  });

  it("takes the place to begin from ?since= and refuses one that is no number", async () => {
    for (const message of ["one", "two", "three"]) publish(message);
    const stream = await open("/api/events?since=2");
    await stream.has('"three"');
    expect(stream.read()).not.toContain('"two"');
    await stream.leave();
    expect((await fetch(`${server.url}/api/events?since=yesterday`)).status).toBe(400);
  });

  it("sends everything to a client that saw the events of an earlier gateway", async () => {
    publish("one");
    const stream = await open("/api/events", { "last-event-id": "500" });
    await stream.has('"one"');
    expect(stream.read()).toContain("id: 1\n");
    await stream.leave();
  });

  it("answers the ring as JSON to who asks for JSON", async () => {
    publish("one");
    const response = await fetch(`${server.url}/api/events`, { headers: { accept: "application/json" } });
    expect(await response.json()).toEqual({ events: server.events.since(0) });
    expect(server.events.followers).toBe(0);
  });

  it("follows nothing for a HEAD request", async () => {
    const response = await fetch(`${server.url}/api/events`, { method: "HEAD" });
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    expect(server.events.followers).toBe(0);
  });

  it("ends when the gateway stops", async () => {
    const stream = await open("/api/events");
    server.stopStreams();
    await until(stream.ended);
    expect(server.events.followers).toBe(0);
    expect(await (await fetch(`${server.url}/api/events`)).text()).toBe("retry: 2000\n\n");
  });

  it("drops a client that does not read, and keeps the others", async () => {
    const other = await open("/api/events");
    const { hostname, port } = new URL(server.url);
    const deaf = connect(Number(port), hostname);
    deaf.on("error", () => undefined);
    deaf.pause();
    deaf.write("GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await until(() => server.events.followers === 2);
    await until(() => {
      for (let i = 0; i < 10; i++) publish("x".repeat(50_000));
      return server.events.followers === 1;
    });
    publish("the end");
    await other.has("the end");
    expect(server.events.followers).toBe(1);
    deaf.destroy();
    await other.leave();
  });
});

describe("the event stream by itself", () => {
  const start = (since = 0) => {
    const clock = new FakeClock();
    const events = new EventLog(clock);
    let dropped = 0;
    const signal = new AbortController().signal;
    const reader = eventStream({ events, since, clock, signal, onDropped: () => dropped++ }).getReader();
    const read = async () => new TextDecoder().decode((await reader.read()).value);
    return { clock, events, reader, read, dropped: () => dropped };
  };

  it("sends a comment when nothing happens, and leaves no timer behind", async () => {
    const { clock, read, reader } = start();
    expect(await read()).toBe("retry: 2000\n\n");
    await clock.advance(2 * HEARTBEAT_MS);
    expect([await read(), await read()]).toEqual([":\n\n", ":\n\n"]);
    await reader.cancel();
    expect(clock.pending).toBe(0);
  });

  it("holds a bounded number of bytes for a reader that is away", async () => {
    const { clock, events, reader, dropped } = start();
    for (let i = 0; i < 30; i++) events.publish({ type: "x", message: "y".repeat(100_000) });
    expect(dropped()).toBe(1);
    expect({ followers: events.followers, timers: clock.pending }).toEqual({ followers: 0, timers: 0 });
    let bytes = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      bytes += value.byteLength;
    }
    expect(bytes).toBeLessThan(MAX_UNREAD_BYTES + 200_000);
  });
});

describe("the log of a replica", () => {
  beforeEach(() => {
    view.logLines.set("demo-1", ["one", 'two "2"', "three"]);
  });

  it("is one JSON object a line, or plain text for who asks for that", async () => {
    const json = await fetch(`${server.url}/api/replicas/demo-1/logs`);
    expect(json.headers.get("content-type")).toBe("application/x-ndjson");
    expect((await json.text()).split("\n", 2)).toEqual(['{"text":"one"}', '{"text":"two \\"2\\""}']);
    const headers = { accept: "text/plain" };
    const text = await fetch(`${server.url}/api/replicas/demo-1/logs?tail=2`, { headers });
    expect(await text.text()).toBe('two "2"\nthree\n');
    expect(view.logReads.map((read) => read.options.tail)).toEqual([100, 2]);
    expect(view.openLogs).toBe(0);
  });

  it("answers 404 for a replica that is not there, and 400 for a tail that is no number", async () => {
    const missing = await fetch(`${server.url}/api/replicas/nobody/logs`);
    expect([missing.status, await missing.json()]).toMatchObject([404, { error: { code: "replica_not_found" } }]);
    expect((await fetch(`${server.url}/api/replicas/demo-1/logs?tail=-5`)).status).toBe(400);
  });

  it("follows until the client leaves, and then lets go of the source", async () => {
    let say: (line: string) => void = () => {};
    view.onFollow = async function* (signal) {
      while (!signal.aborted) {
        yield await new Promise<string>((resolve, reject) => {
          say = resolve;
          signal.addEventListener("abort", () => reject(new Error("aborted")), { once: true });
        });
      }
    };
    const stream = await open("/api/replicas/demo-1/logs?follow&tail=1");
    await stream.has("three");
    say("four");
    await stream.has('{"text":"four"}\n');
    await stream.leave();
    await until(() => view.openLogs === 0);
    expect(server.errors).toEqual([]);
  });

  it("answers at once for a replica that is silent, and ends when the gateway stops", async () => {
    view.onFollow = async function* (signal) {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      yield* [];
    };
    const stream = await open("/api/replicas/demo-1/logs?follow&tail=0");
    expect(stream.response.status).toBe(200);
    expect(view.openLogs).toBe(1);
    server.stopStreams();
    await until(stream.ended);
    expect(view.openLogs).toBe(0);
  });

  it("says so in the log when it breaks in the middle", async () => {
    view.onFollow = async function* () {
      yield "four";
      throw new Error("the disk is gone");
    };
    const response = await fetch(`${server.url}/api/replicas/demo-1/logs?follow=1&tail=0`);
    const error = { message: "the disk is gone", type: "server_error", param: null, code: "internal_error" };
    expect(await response.text()).toBe(`{"text":"four"}\n${JSON.stringify({ error })}\n`);
  });

  it("is read from its source no faster than the client reads", async () => {
    let made = 0;
    view.onFollow = async function* (signal) {
      for (; !signal.aborted; made++) yield "x".repeat(10_000);
    };
    const { hostname, port } = new URL(server.url);
    const slow = connect(Number(port), hostname);
    slow.pause();
    slow.write("GET /api/replicas/demo-1/logs?follow HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let before = -1;
    await until(async () => {
      const still = made > 0 && made === before;
      before = made;
      await settle();
      return still;
    });
    expect(made).toBeLessThan(2000); // what the sockets between us hold is a few MB
    slow.destroy();
    await until(() => view.openLogs === 0);
  });

  it("leaves a source that waits for its next line as soon as the reader leaves", async () => {
    let left = false;
    async function* lines(signal: AbortSignal) {
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      left = true;
      yield* [];
    }
    const clock = new FakeClock();
    const { signal } = new AbortController();
    const opening = valueStream({ open: lines, format: NDJSON, headWithinMs: 300, clock, signal });
    await clock.advance(1000);
    await (await opening).cancel();
    expect(left).toBe(true);
    expect(clock.pending).toBe(0);
  });
});
