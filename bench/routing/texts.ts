// Texts without words: how long they are, and where they are the same as others.
import { BLOCK_TOKENS } from "./speed.ts";

/** A text, as the blocks of a prompt that consists of it; see `Ask.blocks`. */
export interface Text {
  readonly tokens: number;
  readonly blocks: readonly number[];
}

/** Makes texts. Two that were grown from one text have its full blocks in common, and nothing else. */
export class Texts {
  #ids = 0;

  begin(tokens: number): Text {
    return this.grow({ tokens: 0, blocks: [] }, tokens);
  }

  /** The text with `tokens` more at its end. */
  grow({ tokens, blocks }: Text, more: number): Text {
    const full = Math.floor(tokens / BLOCK_TOKENS);
    const inAll = Math.ceil((tokens + more) / BLOCK_TOKENS);
    const added = Array.from({ length: inAll - full }, () => ++this.#ids);
    return { tokens: tokens + more, blocks: [...blocks.slice(0, full), ...added] };
  }
}
