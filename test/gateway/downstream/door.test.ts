// Connections of clients: what is plain is read by us, all else by Node, and nobody can tell which it was.
import { once } from "node:events";
import { createConnection, type Socket } from "node:net";
import { Hono } from "hono";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Downstream } from "../../../src/gateway/downstream/downstream.ts";
import { listen } from "../../../src/gateway/server.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { FakeClock } from "../../support/clock.ts";
import { until } from "../../support/until.ts";

const TARGET = "/direct";

interface Client {
  readonly socket: Socket;
  readonly isClosed: boolean;
  /** What it was sent so far. */
  readonly text: string;
  send(text: string): void;
}

/** A server that answers `/direct` with what `serve` does, and everything else through a router. */
async function start(serve: (request: Downstream) => void = answerWithLength) {
  const clock = new FakeClock();
  const served: Downstream[] = [];
  const direct = {
    targets: new Set([TARGET]),
    serve(_: string, request: Downstream) {
      served.push(request);
      serve(request);
    },
  };
  const app = new Hono().all("*", async (c) => c.text(`routed ${c.req.method} ${await c.req.text()}`));
  const options = { host: "127.0.0.1", port: 0, logger: silentLogger, clock };
  const server = await listen({ fetch: app.fetch, direct }, options);
  onTestFinished(async () => {
    const closed = server.close(0);
    await clock.advance(0);
    await closed;
  });
  return { clock, served, server, connect: () => connect(Number(server.url.port)) };
}

/** Answers with how long the body is. */
function answerWithLength(request: Downstream): void {
  request.readBody(1_000_000).then(
    ({ length }) => request.answer(200, ["x-a", "b"], `direct ${length};`),
    () => {}, // the client left
  );
}

async function connect(port: number): Promise<Client> {
  const socket = createConnection(port, "127.0.0.1");
  const heard = { text: "", isClosed: false };
  socket.on("data", (chunk) => (heard.text += chunk.toString("latin1")));
  socket.on("error", () => {}); // it is cut in some tests
  socket.on("close", () => (heard.isClosed = true));
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  return {
    socket,
    send: (text) => void socket.write(text, "latin1"),
    get isClosed() {
      return heard.isClosed;
    },
    get text() {
      return heard.text;
    },
  };
}

function post(body: string, ...lines: readonly string[]): string {
  return `POST ${TARGET} HTTP/1.1\r\n${["Host: a", `Content-Length: ${body.length}`, ...lines].join("\r\n")}\r\n\r\n${body}`;
}

/** More than a connection holds on its way to a client that does not read. */
const BIG = "x".repeat(20_000_000);

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

const GET = "GET /else HTTP/1.1\r\nHost: a\r\n\r\n";

describe("the door", () => {
  it("answers one request after the other over one connection", async () => {
    const { connect } = await start();
    const client = await connect();
    client.send(post("one"));
    await until(() => client.text.endsWith("direct 3;"));
    client.send(post("three"));
    await until(() => client.text.endsWith("direct 5;"));
    const [first = ""] = client.text.split("\r\n\r\n");
    expect(first.split("\r\n").map((line) => line.replace(/^date: .* GMT$/, "date"))).toEqual([
      "HTTP/1.1 200 OK",
      "x-a: b",
      "connection: keep-alive",
      "keep-alive: timeout=75",
      "date",
      "content-length: 9",
    ]);
  });

  it("hands a connection on to Node with the first request that is not plain, whichever that is", async () => {
    const { connect, served } = await start();
    const client = await connect();
    client.send(post("one"));
    await until(() => client.text.endsWith("direct 3;"));
    client.send(GET);
    await until(() => client.text.endsWith("routed GET "));
    client.send(post("three"));
    await until(() => client.text.endsWith("direct 5;"));
    client.send(`POST ${TARGET} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n`);
    await until(() => client.text.endsWith("direct 2;"));
    expect(served.map(({ constructor }) => constructor.name)).toEqual([
      "PlainRequest",
      "NodeDownstream",
      "NodeDownstream",
    ]);
  });

  it("takes a request in any pieces", async () => {
    const { connect } = await start();
    const whole = post("x".repeat(100));
    for (let cut = 1; cut < whole.length; cut += 7) {
      const client = await connect();
      client.send(whole.slice(0, cut));
      await new Promise((resolve) => setImmediate(resolve));
      client.send(whole.slice(cut));
      await until(() => client.text.endsWith("direct 100;"));
      client.socket.destroy();
    }
  });

  it("answers what was sent ahead in its order, be it plain or not", async () => {
    const { connect } = await start();
    const client = await connect();
    client.send(post("a") + post("bb") + GET + post("ccc"));
    await until(() => client.text.endsWith("direct 3;"));
    const bodies = client.text.match(/direct \d;|routed GET /g);
    expect(bodies).toEqual(["direct 1;", "direct 2;", "routed GET ", "direct 3;"]);
  });

  it("reads no more than so much ahead, and loses nothing of it", async () => {
    const waiting: (() => void)[] = [];
    const { connect } = await start((request) => {
      const body = request.readBody(1_000_000);
      waiting.push(() => void body.then(({ length }) => request.answer(200, [], `direct ${length};`)));
    });
    const client = await connect();
    const body = "x".repeat(900_000);
    client.send(post("a"));
    await until(() => waiting.length === 1);
    client.send(post(body).repeat(20));
    await until(() => client.socket.writableLength > 0, { what: "a client that has to wait" });
    for (let count = 1; count <= 21; count++) {
      await until(() => waiting.length >= count); // Node begins with those ahead of their turn
      waiting[count - 1]!();
    }
    await until(() => client.text.match(/direct 900000;/g)?.length === 20);
  });

  it("waits with the next answer for a client that does not read", async () => {
    const big = "x".repeat(4_000_000);
    const { connect, served } = await start((request) => request.answer(200, [], big));
    const client = await connect();
    client.socket.pause();
    client.send(post("a").repeat(20));
    await until(() => served.length > 0);
    await new Promise((resolve) => setImmediate(resolve));
    expect(served.length).toBeLessThan(5);
    client.socket.resume();
    await until(() => served.length === 20 && client.text.length > 20 * big.length);
  });

  it("waits for such a client with requests that come one by one, too", async () => {
    const { connect, served } = await start((request) => request.answer(200, [], "x".repeat(4_000_000)));
    const client = await connect();
    client.socket.setNoDelay().pause();
    for (let count = 1; count <= 20; count++) {
      client.send(post("a"));
      await turns(5);
    }
    expect(served.length).toBeLessThan(5);
    client.socket.resume();
    await until(() => served.length === 20);
  });

  it("sends all of an answer to a client that has said it sends no more", async () => {
    const { connect, served } = await start((request) => request.answer(200, [], BIG));
    for (const lines of [[], ["Connection: close"]]) {
      const client = await connect();
      client.socket.pause();
      client.send(post("a", ...lines));
      await until(() => served.pop() !== undefined);
      client.socket.end();
      await turns(20);
      client.socket.resume();
      await until(() => client.isClosed);
      expect(client.text.length).toBeGreaterThan(BIG.length);
    }
  });

  it("closes the connection behind the answer when the client asks for that", async () => {
    const { connect } = await start();
    const client = await connect();
    client.send(post("a", "Connection: close"));
    await until(() => client.isClosed);
    expect(client.text).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*connection: close\r\n[^]*direct 1;$/);
  });

  it("lets a client that still sends see why it was refused, for a second", async () => {
    const { connect, clock } = await start((request) => request.answer(413, [], "no"));
    const patient = await connect();
    patient.send(post("x".repeat(100)).slice(0, -50));
    await until(() => patient.text.endsWith("no"));
    expect([patient.text.includes("connection: close"), patient.isClosed]).toEqual([true, false]);
    patient.send("x".repeat(50));
    await until(() => patient.isClosed);
    const silent = await connect();
    silent.send(post("x".repeat(100)).slice(0, -50));
    await until(() => silent.text.endsWith("no"));
    await clock.advance(1_000);
    await until(() => silent.isClosed);
  });
});

describe("an answer in pieces", () => {
  it("goes out in chunks where its length is not known", async () => {
    const { connect } = await start((request) => {
      request.begin(200, ["x-a", "b"]);
      request.content("é");
      request.content("");
      request.content(Buffer.from("two"));
      request.frames(Buffer.from("1\r\n!\r\n"));
      expect([request.takesFrames, request.flush()]).toEqual([true, "free"]);
      request.end();
      request.content("more");
    });
    const client = await connect();
    client.send(post("a"));
    await until(() => client.text.endsWith("0\r\n\r\n"));
    const [head = "", ...body] = client.text.split("\r\n\r\n");
    expect(head).toMatch(/transfer-encoding: chunked$/);
    expect(body.join("\r\n\r\n")).toBe("2\r\nÃ©\r\n3\r\ntwo\r\n1\r\n!\r\n0\r\n\r\n");
  });

  it("is cut where it is shorter than its head says", async () => {
    const { connect } = await start((request) => {
      request.begin(200, ["content-length", "5"]);
      request.content("four");
      request.flush();
      request.end();
    });
    const client = await connect();
    client.send(post("a"));
    await until(() => client.isClosed);
  });

  it("of known length leaves the connection to the next", async () => {
    const { connect } = await start((request) => {
      request.begin(200, ["content-length", "5"]);
      request.content(Buffer.from("five!"));
      request.end();
    });
    const client = await connect();
    client.send(post("a") + post("b"));
    await until(() => client.text.match(/five!/g)?.length === 2);
  });

  it("of 204 has none", async () => {
    const { connect } = await start((request) => request.answer(204, [], ""));
    const client = await connect();
    client.send(post("a"));
    await until(() => client.text.endsWith("\r\n\r\n"));
    expect(client.text).not.toMatch(/content-length|transfer-encoding/);
  });
});

describe("time", () => {
  it("ends a connection on which nothing is said", async () => {
    const { connect, clock } = await start();
    const client = await connect();
    await clock.advance(29_000);
    expect(client.isClosed).toBe(false);
    await clock.advance(7_000);
    await until(() => client.isClosed);
  });

  it("ends one that is not used again, but not before it said", async () => {
    const { connect, clock } = await start();
    const client = await connect();
    client.send(post("a"));
    await until(() => client.text.endsWith("direct 1;"));
    await clock.advance(74_000);
    client.send(post("bb"));
    await until(() => client.text.endsWith("direct 2;"));
    await clock.advance(74_000);
    expect(client.isClosed).toBe(false);
    await clock.advance(7_000);
    await until(() => client.isClosed);
  });

  it("ends a request that does not come to its end, with a word", async () => {
    const { connect, clock, served } = await start();
    const client = await connect();
    client.send(post("abc").slice(0, -1));
    await until(() => served.length === 1);
    await clock.advance(299_000);
    expect(client.text).toBe("");
    await clock.advance(7_000);
    await until(() => client.isClosed);
    expect(client.text).toMatch(/^HTTP\/1\.1 408 /);
    expect(served[0]!.isGone).toBe(true);
  });

  it.each(["keep-alive", "close"])("ends one whose client does not read its answer: %s", async (connection) => {
    const { connect, clock, served } = await start((request) => request.answer(200, [], BIG));
    const client = await connect();
    client.socket.pause();
    client.send(post("a", `Connection: ${connection}`));
    await until(() => served.length === 1);
    await clock.advance(306_000);
    client.socket.resume();
    await until(() => client.isClosed);
    expect(client.text.length).toBeLessThan(BIG.length);
  });

  it("leaves a client that reads slowly its answer", async () => {
    const { connect, clock, served } = await start((request) => request.answer(200, [], BIG));
    const client = await connect();
    client.socket.pause();
    client.send(post("a"));
    await until(() => served.length === 1);
    await clock.advance(290_000);
    client.socket.resume();
    await until(() => client.text.length > BIG.length || client.isClosed);
    expect(client.text.length).toBeGreaterThan(BIG.length);
  });

  it("does not end one that is being answered", async () => {
    const { connect, clock, served } = await start(() => {});
    const client = await connect();
    client.send(post("a"));
    await until(() => served.length === 1);
    await clock.advance(3_600_000);
    served[0]!.answer(200, [], "late");
    await until(() => client.text.endsWith("late"));
  });
});

describe("closing", () => {
  it("ends idle connections at once, and others with their answer", async () => {
    const { connect, server, served } = await start(() => {});
    const [idle, busy] = [await connect(), await connect()];
    busy.send(post("a"));
    await until(() => served.length === 1);
    const closed = server.close(60_000);
    await until(() => idle.isClosed);
    served[0]!.answer(200, [], "last");
    await closed;
    await until(() => busy.isClosed);
    expect(busy.text).toMatch(/connection: close\r\n[^]*last$/);
  });

  it("ends a connection with the answer that had begun before", async () => {
    const { connect, server, served } = await start((request) => {
      request.begin(200, []);
      request.content("begun ");
      request.flush();
    });
    const client = await connect();
    client.send(post("a"));
    await until(() => client.text.includes("begun"));
    const closed = server.close(60_000);
    served[0]!.content("ended");
    served[0]!.end();
    await closed;
    await until(() => client.isClosed);
    expect(client.text).toMatch(/ended\r\n0\r\n\r\n$/);
  });

  it("sends all of an answer that is on its way", async () => {
    const { connect, server, served } = await start((request) => request.answer(200, [], BIG));
    const client = await connect();
    client.socket.pause();
    client.send(post("a"));
    await until(() => served.length === 1);
    const closed = server.close(60_000);
    await turns(20);
    client.socket.resume();
    await closed;
    await until(() => client.isClosed);
    expect(client.text.length).toBeGreaterThan(BIG.length);
  });

  it("cuts what is left when its time is over", async () => {
    const { connect, server, served, clock } = await start(() => {});
    const client = await connect();
    client.send(post("a"));
    await until(() => served.length === 1);
    let isGone = false;
    served[0]!.onGone(() => (isGone = true));
    const closed = server.close(1_000);
    await clock.advance(1_000);
    await closed;
    expect([isGone, served[0]!.isGone]).toEqual([true, true]);
    await until(() => client.isClosed);
  });
});
