// Where the tokens of a generation go: out one by one as a stream, or all at once as a body.
import type { ServerResponse } from "node:http";
import type { Api, Dialect, Outcome, TokenEvent } from "./call.ts";
import { headersFor, sendJson } from "./http.ts";
import type { WireError } from "./wire.ts";

export interface Sink {
  open(): void;
  token(token: TokenEvent): void;
  end(outcome: Outcome): void;
  fail(error: WireError): void;
  /** Fault: breaks the connection in the middle of what was to be sent. */
  cut(soFar: Outcome): void;
}

export function streamSink(response: ServerResponse, dialect: Dialect): Sink {
  let begun = false;
  return {
    open() {
      response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" }).flushHeaders();
    },
    token(token) {
      const opening = begun ? "" : dialect.begin({ ...token.usage, completionTokens: 0 });
      begun = true;
      response.write(opening + dialect.token(token));
    },
    end: (outcome) => void response.end(dialect.finish(outcome)),
    fail: (error) => void response.end(dialect.failure(error)),
    cut: () => cutOff(response),
  };
}

export function bodySink(response: ServerResponse, api: Api, dialect: Dialect): Sink {
  return {
    open() {},
    token() {},
    end: (outcome) => sendJson(response, 200, dialect.body(outcome)),
    fail: (error) => sendJson(response, error.status, api.refusal(error)),
    cut(soFar) {
      const text = JSON.stringify(dialect.body(soFar));
      response.writeHead(200, headersFor("application/json", text));
      response.write(text.slice(0, text.length / 2));
      cutOff(response);
    },
  };
}

/** What was written leaves before the socket goes, so that the client sees a torn answer and not a refused one. */
function cutOff(response: ServerResponse): void {
  response.socket?.destroySoon();
}
