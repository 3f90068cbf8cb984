// The insides of the strings of a body, slice by slice through a small piece of WebAssembly (text.wat): prompts are long.
import { TEXT_WASM } from "./text-wasm.ts";

/** Small enough to stay in the first-level cache of a core while it is looked at. */
export const SLICE_BYTES = 16 * 1024;

/** \uXXXX: one that begins closer to the end of a slice may be cut. */
const LONGEST_ESCAPE = 6;

interface Exports {
  readonly memory: WebAssembly.Memory;
  readonly endOfText: (at: number) => number;
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

  constructor(body: Buffer) {
    this.#body = body;
  }

  /**
   * Index of the first byte from `at` on that is not the inside of a string: its closing quote, or what must not stand there;
   * the body's length where that ends before.
   */
  end(at: number): number {
    if (at >= this.#end) this.#load(at);
    let stop = this.#start + endOfText(at - this.#start);
    while (this.#mayBeCut(stop)) {
      this.#load(stop);
      stop = this.#start + endOfText(0);
    }
    return stop;
  }

  /** Whether only the end of the slice may have stopped it, so that it has to be looked at in another one. */
  #mayBeCut(stop: number): boolean {
    return stop > this.#end - LONGEST_ESCAPE && this.#end < this.#body.length;
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
