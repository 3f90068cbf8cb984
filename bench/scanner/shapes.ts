// Request bodies of the sizes and shapes that chat clients send.

export interface Shape {
  readonly name: string;
  readonly body: Buffer;
}

const WORDS =
  "the quick brown fox jumps over a lazy dog and then tells everyone who listens while it rains outside".split(" ");
const RUSSIAN =
  "быстрая лиса прыгает через ленивую собаку и рассказывает об этом всем кто слушает пока идёт дождь".split(" ");

/** Made anew in the same way each time. */
export function shapes(): readonly Shape[] {
  const plain = { words: WORDS, escapes: 0 };
  // An escape after each 100 characters or so, a line's end or a quote, as prose has them; code has four times as many.
  const prose = { words: WORDS, escapes: 1 / 18 };
  const code = { words: WORDS, escapes: 1 / 4 };
  const russian = { words: RUSSIAN, escapes: 1 / 18 };
  return [
    { name: "1 KB", body: chat({ bytes: 900, turns: 1 }, prose) },
    { name: "10 KB, 4 turns", body: chat({ bytes: 10_000, turns: 4 }, prose) },
    { name: "100 KB, 1 message, no escapes", body: chat({ bytes: 100_000, turns: 1 }, plain) },
    { name: "100 KB, 1 message", body: chat({ bytes: 100_000, turns: 1 }, prose) },
    { name: "100 KB, 40 turns", body: chat({ bytes: 100_000, turns: 40 }, prose) },
    { name: "100 KB, 40 turns, code", body: chat({ bytes: 100_000, turns: 40 }, code) },
    { name: "100 KB, 10 turns, Russian", body: chat({ bytes: 100_000, turns: 10 }, russian) },
    { name: "100 KB, Russian as \\uXXXX", body: ascii(chat({ bytes: 33_000, turns: 10 }, russian)) },
    { name: "100 KB, token ids", body: tokenIds(17_000) },
    { name: "50 KB of tools", body: tools(200) },
    { name: "4 MB, 1 message, no escapes", body: chat({ bytes: 4_000_000, turns: 1 }, plain) },
    { name: "4 MB, an image", body: image(4_000_000) },
    { name: "4 MB, 1 message", body: chat({ bytes: 4_000_000, turns: 1 }, prose) },
    { name: "4 MB, 100 turns", body: chat({ bytes: 4_000_000, turns: 100 }, prose) },
    { name: "4 MB, 1000 turns", body: chat({ bytes: 4_000_000, turns: 1000 }, prose) },
    { name: "4 MB, 100 turns, code", body: chat({ bytes: 4_000_000, turns: 100 }, code) },
    { name: "4 MB, 100 turns, Russian", body: chat({ bytes: 4_000_000, turns: 100 }, russian) },
    { name: "4 MB, Russian as \\uXXXX", body: ascii(chat({ bytes: 1_320_000, turns: 100 }, russian)) },
    { name: "4 MB, token ids", body: tokenIds(680_000) },
    { name: "4 MB of tools", body: tools(16_000) },
  ];
}

interface Size {
  readonly bytes: number;
  readonly turns: number;
}

interface Style {
  readonly words: readonly string[];
  /** How many of the spaces are an escape instead. */
  readonly escapes: number;
}

/** As the SDKs write it, with `model` behind the messages. */
function chat({ bytes, turns }: Size, style: Style): Buffer {
  const draw = draws();
  const messages = Array.from({ length: turns }, (_, turn) => ({
    role: turn % 2 === 0 ? "user" : "assistant",
    content: text(bytes / turns, style, draw),
  }));
  return Buffer.from(
    JSON.stringify({ messages, temperature: 0.7, max_tokens: 512, stream: true, model: "org/model-7b" }),
  );
}

function tokenIds(length: number): Buffer {
  const prompt = Array.from({ length }, (_, index) => (index * 7919) % 128_000);
  return Buffer.from(JSON.stringify({ prompt, model: "org/model-7b" }));
}

function image(bytes: number): Buffer {
  const url = `data:image/png;base64,${"iVBORw0KGgo+".repeat(bytes / 12)}`;
  const messages = [{ role: "user", content: [{ type: "image_url", image_url: { url } }] }];
  return Buffer.from(JSON.stringify({ messages, model: "org/model-7b" }));
}

/** Short strings, and many brackets: the most there is to be walked over per byte. */
function tools(count: number): Buffer {
  const kinds = { type: "array", items: { type: "string", enum: ["file", "folder", "link"] } };
  const options = { type: "object", properties: { depth: { type: "integer", minimum: 0, maximum: 10 }, kinds } };
  const parameters = { type: "object", properties: { options }, required: ["options"], additionalProperties: false };
  const list = Array.from({ length: count }, (_, index) => ({
    type: "function",
    function: { name: `tool_${index}`, parameters },
  }));
  return Buffer.from(JSON.stringify({ tools: list, model: "org/model-7b" }));
}

function text(bytes: number, { words, escapes }: Style, draw: () => number): string {
  const parts: string[] = [];
  for (let length = 0; length < bytes;) {
    const gap = draw() >= escapes ? " " : draw() < 0.5 ? "\n" : '"';
    const part = `${words[Math.floor(draw() * words.length)]}${gap}`;
    parts.push(part);
    length += Buffer.byteLength(part);
  }
  return parts.join("");
}

/** Numbers from 0 to 1, the same each time (a linear congruence: no more is asked of them). */
function draws(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state / 0x80000000;
  };
}

function ascii(body: Buffer): Buffer {
  const text = body.toString();
  const escaped = Array.from({ length: text.length }, (_, index) => {
    const code = text.charCodeAt(index);
    return code < 0x80 ? text.charAt(index) : `\\u${code.toString(16).padStart(4, "0")}`;
  });
  return Buffer.from(escaped.join(""));
}
