// A backend that dies at any byte of its answer: never does what came look like a whole answer.
import type { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { startGateway } from "../harness.ts";
import { startRawBackend } from "./raw-backend.ts";
import { endingOf, type Heard, wireClient } from "./wire.ts";

const EVENTS = 'data: {"n":1}\n\ndata: {"n":2}\n\ndata: [DONE]\n\n';
const BODY = '{"object":"chat.completion"}';
const CHUNKED = "Transfer-Encoding: chunked\r\n\r\n";
const SSE = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
const JSON_HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";

function chunked(text: string): string {
  const chunks = text.match(/[^]{1,9}/g) ?? [];
  return `${chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join("")}0\r\n\r\n`;
}

const ANSWERS = [
  { what: "chunks of a stream", head: SSE + CHUNKED, body: chunked(EVENTS), ending: ["error event"] },
  {
    what: "a stream of a length",
    head: `${SSE}Content-Length: ${EVENTS.length}\r\n\r\n`,
    body: EVENTS,
    ending: ["error event", "cut"],
  },
  { what: "chunks of JSON", head: JSON_HEAD + CHUNKED, body: chunked(BODY), ending: ["cut"] },
  { what: "JSON of a length", head: `${JSON_HEAD}Content-Length: ${BODY.length}\r\n\r\n`, body: BODY, ending: ["cut"] },
];

const ENDS = {
  closes: (socket: Socket) => void socket.end(),
  resets: (socket: Socket) => void socket.resetAndDestroy(),
};

/** Answers with so many bytes as `length` says, in packets of their own, and then ends. */
async function startDying(bytes: string, end: (socket: Socket) => void) {
  const plan = { length: 0 };
  const backend = await startRawBackend(async (socket) => {
    socket.write(bytes.slice(0, plan.length));
    // What was written before a reset may be lost; that is what resets are like.
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    end(socket);
  });
  return { backend, plan };
}

describe.each(ANSWERS)("a backend that dies within $what", { timeout: 60_000 }, ({ head, body, ending }) => {
  it.each(["closes", "resets"] as const)("is known to have died, wherever that was: %s", async (how) => {
    const { backend, plan } = await startDying(head + body, ENDS[how]);
    const gateway = await startGateway({ addresses: [backend.address] });
    const ask = wireClient(gateway.url);
    const stream = head.startsWith(SSE);
    for (plan.length = 0; plan.length < head.length + body.length; plan.length++) {
      // A client whose answer is cut right behind its head may see nothing of it.
      const heard = await ask({ stream }).catch(() => undefined);
      const told = heard === undefined ? "cut" : tellingOf(heard);
      const expected = plan.length < head.length ? ["502"] : ["502", ...ending];
      expect([plan.length, expected]).toEqual([plan.length, expect.arrayContaining([told])]);
    }
    const kinds = gateway.pool.leases.map(({ outcomes }) => outcomes.map(({ kind }) => kind).join());
    expect(kinds.filter((kind) => !["broken", "bad_answer"].includes(kind))).toEqual([]);
  });
});

/** What a client learns of the death: by a plain error, an event, or a cut; or else what it takes for a whole answer. */
function tellingOf(heard: Heard): string {
  const { status, text, whole } = heard;
  if (status === 502 && whole && text.startsWith('{"error":')) return "502";
  const ending = endingOf(heard);
  const errors = text.split('data: {"error":').length - 1;
  // All events of a stream may have been there, and only its last chunk was not: then it has both.
  if (ending === "error event" && errors === 1) return "error event";
  return ending === "cut" && errors === 0 ? "cut" : `${ending}: ${text}`;
}
