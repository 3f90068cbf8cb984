// Walks over a JSON text of bytes, and refuses what JSON.parse refuses: the JavaScript half of json.wat, which does the work.
import { AimError } from "../../errors.ts";
import { JSON_WASM } from "./json-wasm.ts";

/** Nesting beyond this is refused: no honest request comes near it. At most 64, the bits in which json.wat keeps brackets. */
export const MAX_DEPTH = 64;

/** Small enough to stay in the first-level cache of a core while it is looked at. */
export const WINDOW_BYTES = 16 * 1024;

/** As json.wat has them: where in the memory the window begins, and what may be wrong besides what is no JSON. */
const WINDOW_START = 16;
const TOO_DEEP = 1;
const NOT_AN_OBJECT = 2;

/** Told of each member of the outermost object, in order: where key and value lie, quotes included. */
export type OnMember = (key: number, keyEnd: number, value: number, valueEnd: number) => void;

interface Exports {
  readonly memory: WebAssembly.Memory;
  readonly walk: (length: number, maxDepth: number) => number;
}

interface Walk {
  readonly body: Buffer;
  readonly onMember: OnMember;
}

const IDLE: Walk = { body: Buffer.alloc(0), onMember: () => {} };
/** All is synchronous, so one memory serves all bodies. */
let current = IDLE;

const { memory, walk } = instantiate();
const memoryBytes = new Uint8Array(memory.buffer);

/**
 * Goes once through a body that is to be an object. Bytes that are no JSON end it with `invalid_json`, perhaps after some
 * members were told; that they are UTF-8 is not looked at, only whether they are plain ASCII, which is returned.
 */
export function walkMembers(body: Buffer, onMember: OnMember): { readonly isAscii: boolean } {
  current = { body, onMember };
  try {
    return { isAscii: walk(body.length, MAX_DEPTH) === 0 };
  } finally {
    current = IDLE;
  }
}

function instantiate(): Exports {
  const module = new WebAssembly.Module(Buffer.from(JSON_WASM, "base64"));
  const { exports } = new WebAssembly.Instance(module, { body: { load, member, refuse } });
  // A border: what the module exports is written in json.wat.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return exports as unknown as Exports;
}

function load(from: number): number {
  const { body } = current;
  const end = Math.min(from + WINDOW_BYTES, body.length);
  memoryBytes.set(end - from === body.length ? body : body.subarray(from, end), WINDOW_START);
  return end - from;
}

function member(key: number, keyEnd: number, value: number, valueEnd: number): void {
  current.onMember(key, keyEnd, value, valueEnd);
}

function refuse(fault: number, at: number): never {
  if (fault === TOO_DEEP)
    throw new AimError("invalid_json", `the request body must not nest deeper than ${MAX_DEPTH} levels`);
  if (fault === NOT_AN_OBJECT) throw notAnObject(current.body);
  // Says where, and not what stands there: prompts belong in no message or log.
  throw new AimError("invalid_json", `the request body is not valid JSON, at byte ${at}`);
}

function notAnObject(body: Buffer): AimError {
  const hasMark = body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf;
  const must = hasMark ? "not begin with a byte order mark" : "be a JSON object";
  return new AimError("invalid_json", `the request body must ${must}`);
}
