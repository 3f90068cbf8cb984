// What HTTP knows beside a plain POST and its answer: each is defined, and none of it reaches a backend by accident.
import { once } from "node:events";
import { createConnection } from "node:net";
import { describe, expect, it } from "vitest";
import { until } from "../../support/until.ts";
import { CHAT, MODEL, startGateway } from "../harness.ts";
import { startRawBackend } from "./raw-backend.ts";
import { wireClient } from "./wire.ts";

const BODY = JSON.stringify({ model: MODEL, messages: [] });

/** Everything that comes back for these bytes, until the connection ends or what came matches. */
async function exchange(url: URL, bytes: string, enough?: RegExp): Promise<string> {
  const socket = createConnection(Number(url.port), "127.0.0.1");
  socket.on("error", () => {});
  await once(socket, "connect");
  let heard = "";
  let ended = false;
  socket.on("data", (part: Buffer) => (heard += part.toString("latin1")));
  socket.on("close", () => (ended = true));
  socket.write(bytes);
  await until(() => ended || enough?.test(heard) === true, { what: `an answer to ${bytes.slice(0, 40)}` });
  socket.destroy();
  return heard;
}

function post(headers: string, body = BODY): string {
  return `POST ${CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${headers}\r\n${body}`;
}

describe("methods other than POST on a route of inference", () => {
  it.each(["GET", "PUT", "DELETE", "OPTIONS", "PATCH"])("are refused, and told what is taken: %s", async (method) => {
    const gateway = await startGateway();
    const { status, headers, text } = await wireClient(gateway.url)({ method, body: "" });
    expect([status, headers["allow"], JSON.parse(text).error.code]).toEqual([405, "POST", "method_not_supported"]);
    expect(gateway.pool.asked).toHaveLength(0);
  });

  it("are refused without a body where the method is HEAD, and the connection is good for the next", async () => {
    const gateway = await startGateway();
    const head = `HEAD ${CHAT} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
    const heard = await exchange(gateway.url, head + head, /405[^]*405[^]*\r\n\r\n$/);
    expect(heard.match(/^HTTP\/1\.1 405 .*$/gm)).toHaveLength(2);
    expect(heard).not.toContain("{");
  });

  it("let no web page in: nothing is said about other origins", async () => {
    const gateway = await startGateway();
    const headers = { origin: "https://evil.example", "access-control-request-method": "POST" };
    const heard = await wireClient(gateway.url)({ method: "OPTIONS", body: "", headers });
    expect(Object.keys(heard.headers).filter((name) => name.startsWith("access-control"))).toEqual([]);
  });
});

describe("a request that expects to be asked for its body", () => {
  it("is asked once, and answered", async () => {
    const gateway = await startGateway();
    const headers = `Expect: 100-continue\r\nContent-Length: ${BODY.length}\r\n`;
    const heard = await exchange(gateway.url, post(headers), /\r\n\r\n\{.*\}$/);
    expect(heard.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 100", "HTTP/1.1 200"]);
    expect((await gateway.backend.nextRequest()).headers["expect"]).toBeUndefined();
  });

  it("and expects something else is refused", async () => {
    const gateway = await startGateway();
    const headers = `Expect: 200-ok\r\nContent-Length: ${BODY.length}\r\nConnection: close\r\n`;
    expect(await exchange(gateway.url, post(headers))).toMatch(/^HTTP\/1\.1 417 /);
    expect(gateway.pool.asked).toHaveLength(0);
  });
});

describe("trailers of a request", () => {
  it("are taken, and kept from the backend", async () => {
    const gateway = await startGateway();
    const body = `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\nX-Secret: canary\r\nAuthorization: canary\r\n\r\n`;
    const heard = await exchange(gateway.url, post("Transfer-Encoding: chunked\r\nTrailer: X-Secret\r\n", body), /\}$/);
    expect(heard).toMatch(/^HTTP\/1\.1 200 /);
    const request = await gateway.backend.nextRequest();
    expect(request.body.toString()).toBe(BODY);
    expect(JSON.stringify(request.rawHeaders)).not.toMatch(/canary|trailer/i);
  });
});

describe("other protocols", () => {
  it("begin no tunnel, and leave nothing behind: CONNECT", async () => {
    const gateway = await startGateway();
    expect(await exchange(gateway.url, "CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: x\r\n\r\nGET / ")).toMatch(
      /^HTTP\/1\.1 405 /,
    );
    expect(gateway.pool.asked).toHaveLength(0);
  });

  it("are not switched to when a request asks for it", async () => {
    const gateway = await startGateway();
    const headers = `Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: ${BODY.length}\r\n`;
    expect(await exchange(gateway.url, post(headers), /\}$/)).toMatch(/^HTTP\/1\.1 200 /);
    expect(JSON.stringify((await gateway.backend.nextRequest()).rawHeaders)).not.toMatch(/upgrade|http2-settings/i);
  });

  it("are not guessed at: HTTP/2 without asking", async () => {
    const gateway = await startGateway();
    expect(await exchange(gateway.url, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")).toMatch(/^(HTTP\/1\.1 400 |$)/);
    expect(gateway.pool.asked).toHaveLength(0);
  });

  it("are not spoken to a backend that switches without being asked", async () => {
    const switching =
      "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello";
    const backend = await startRawBackend((socket) => void socket.write(switching, "latin1"));
    const gateway = await startGateway({ addresses: [backend.address] });
    const { status, whole } = await wireClient(gateway.url)();
    expect([status, whole]).toEqual([502, true]);
  });
});
