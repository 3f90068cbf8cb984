// The insides of the strings of a body, slice by slice through a small piece of WebAssembly (text.wat): prompts are long.
import { TEXT_WASM } from "./text-wasm.ts";

/** Small enough to stay in the first-level cache of a core while it is looked at. */
export const SLICE_BYTES = 16 * 1024;

/** \uXXXX: one that begins closer to the end of a slice may be cut. */
const LONGEST_ESCAPE = 6;

/** What text.wat takes as its mask: whether bytes beyond ASCII stop it, too. */
const ASCII = 0x02;
const ANY = 0x82;

interface Exports {
  readonly memory: WebAssembly.Memory;
  readonly endOfText: (at: number, mask: number) => number;
}

const { memory, endOfText } = instantiate();
const slice = new Uint8Array(memory.buffer);

function instantiate(): Exports {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(TEXT_WASM, "base64")));
  // A border: what the module exports is written in text.wat.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return exports as unknown as Exports;
}

/** Walks through one body, forwards only. All is synchronous, so one memory serves all bodies. */
export class Text {
  readonly #body: Buffer;
  /** What of the body lies in the memory. */
  #start = 0;
  #end = 0;
  #mask = ASCII;

  constructor(body: Buffer) {
    this.#body = body;
  }

  /** Whether all strings so far are plain ASCII. Found on the way, it saves most bodies the check of their UTF-8. */
  get isAscii(): boolean {
    return this.#mask === ASCII;
  }

  /**
   * Index of the first byte from `at` on that is not the inside of a string: its closing quote, or what must not stand there;
   * the body's length where that ends before.
   */
  end(at: number): number {
    if (at >= this.#end) this.#load(at);
    let stop = this.#start + endOfText(at - this.#start, this.#mask);
    while (this.#goesOn(stop)) stop = this.#start + endOfText(stop - this.#start, this.#mask);
    return stop;
  }

  /** Whether it was not the text that stopped it, but how it was looked at, which is changed then. */
  #goesOn(stop: number): boolean {
    if (this.isAscii && (this.#body[stop] ?? 0) >= 0x80) {
      this.#mask = ANY;
      return true;
    }
    // An escape may be cut by the end of the slice.
    if (stop <= this.#end - LONGEST_ESCAPE || this.#end === this.#body.length) return false;
    this.#load(stop);
    return true;
  }

  #load(at: number): void {
    const end = Math.min(at + SLICE_BYTES, this.#body.length);
    slice.set(this.#body.subarray(at, end));
    // Ends whatever string is there.
    slice[end - at] = 0;
    this.#start = at;
    this.#end = end;
  }
}
