import { describe, expect, it } from "vitest";
import { isAimError } from "../../src/errors.ts";
import { parseBody } from "../../src/gateway/request.ts";

function failure(body: string | Buffer) {
  try {
    parseBody(Buffer.from(body));
  } catch (error) {
    if (isAimError(error)) return error;
    throw error;
  }
  throw new Error("the request was admitted");
}

describe("parseBody", () => {
  it("reads the model and whether to stream, and keeps the bytes", () => {
    const body = Buffer.from('{ "seed": 12345678901234567890, "model" : "org/m", "stream":true }');
    const request = parseBody(body);
    expect(request).toMatchObject({ model: "org/m", stream: true });
    expect(request.body).toBe(body);
    expect(body.toString("utf8", request.modelSpan.start, request.modelSpan.end)).toBe('"org/m"');
  });

  it.each(['{"model":"m"}', '{"model":"m","stream":false}', '{"model":"m","stream":null}'])(
    "takes %s as not streamed",
    (body) => expect(parseBody(Buffer.from(body)).stream).toBe(false),
  );

  it("reads how long the model is to be kept, and where that stands", () => {
    const body = Buffer.from('{"model":"m", "keep_alive":"5m" ,"n":1}');
    const { keepAliveMs, keepAliveSpan } = parseBody(body);
    expect(keepAliveMs).toBe(300_000);
    expect(body.toString("utf8", keepAliveSpan?.start, keepAliveSpan?.end)).toBe(', "keep_alive":"5m" ');
  });

  it.each([
    ['{"model":"m"}', []],
    ['{"model":"m","messages":[1],"tools":[2],"stream":true}', ["[2]", "[1]"]],
    ['{"prompt": "p" ,"model":"m"}', ['"p"']],
    ['{"input":[1,2],"model":"m"}', ["[1,2]"]],
    ['{"input":"i","prompt":"p","messages":[],"model":"m"}', ["[]"]],
  ])("knows which bytes of %s a model has to read", (text, expected) => {
    const { prompt } = parseBody(Buffer.from(text));
    expect(prompt.spans.map(({ start, end }) => prompt.body.toString("utf8", start, end))).toEqual(expected);
  });

  it.each([true, "soon", {}, [5], "", "5m".padEnd(2_000), Array(2_000).fill(0)])(
    "refuses %j as keep_alive",
    (value) => {
      const error = failure(JSON.stringify({ model: "m", keep_alive: value }));
      expect(error).toMatchObject({ code: "invalid_value", param: "keep_alive", status: 400 });
      expect(error.message).toContain('"keep_alive" must be a duration');
    },
  );

  it.each([
    ["nothing", ""],
    ["an array", '[{"model":"m"}]'],
    ["a cut object", '{"model":"m"'],
    ["trailing garbage", '{"model":"m"} x'],
    ["two lines of JSON", '{"model":"m"}\n{"model":"m"}'],
    ["a byte order mark", '\ufeff{"model":"m"}'],
    ["invalid UTF-8", Buffer.from([...Buffer.from('{"model":"m","a":"'), 0xff, 0x22, 0x7d])],
    ["UTF-16", Buffer.from('{"model":"m"}', "utf16le")],
    ["deep nesting", `{"model":"m","a":${"[".repeat(100)}${"]".repeat(100)}}`],
    ["a control character in a string", '{"model":"m","a":"\u0001"}'],
  ])("refuses %s as invalid JSON", (_, body) => {
    expect(failure(body)).toMatchObject({ code: "invalid_json", status: 400 });
  });

  it("does not repeat the prompt in its message", () => {
    const error = failure('{"model":"m","messages":[{"content":"my secret" oops}]}');
    expect(error.message).toMatch(/not valid JSON, at byte \d+/);
    expect(`${error.message}${String(error.cause)}`).not.toContain("secret");
  });

  it("takes a name with escapes, be they as long as they can", () => {
    const model = "\\u006d".repeat(256);
    expect(parseBody(Buffer.from(`{"model":"${model}"}`)).model).toBe("m".repeat(256));
  });

  it.each([
    "{}",
    '{"model":""}',
    '{"model":5}',
    '{"model":["m"]}',
    '{"model":null}',
    '{"model":"a\\u0000b"}',
    '{"model":"\u202em"}',
    `{"model":"${"m".repeat(257)}"}`,
    `{"model":"${"m".repeat(100_000)}"}`,
  ])("refuses %s as a model", (body) => expect(failure(body)).toMatchObject({ code: "invalid_value", param: "model" }));

  it.each(["1", '"true"', "[]"])("refuses %s as stream", (stream) => {
    expect(failure(`{"model":"m","stream":${stream}}`)).toMatchObject({ code: "invalid_value", param: "stream" });
  });

  it.each(["model", "stream", "keep_alive", "messages"])(
    "refuses a repeated %s, which a backend might read differently",
    (key) => {
      const body = `{"model":"m","stream":true,"keep_alive":5,"messages":[],"${key}":null}`;
      expect(failure(body)).toMatchObject({ code: "duplicate_key", param: key, status: 400 });
    },
  );

  it("lets the keys of JavaScript's objects through as data", () => {
    const body = '{"__proto__":{"stream":true},"constructor":{},"model":"m"}';
    expect(parseBody(Buffer.from(body))).toMatchObject({ model: "m", stream: false });
    expect(Object.prototype).not.toHaveProperty("stream");
  });
});
