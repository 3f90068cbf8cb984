// The tokeniser: word pieces of at most six letters, about four bytes each, the same for counting and for generating.

/** Control marks of the chat template, words with their leading space, short numbers, white space, any other character. */
const PIECE = /<\|[a-z_]+\|>| ?[A-Za-z]{1,6}|\d{1,3}|\s{1,16}|[^]/gu;

/** Cuts a text into its tokens; joined, they are the text again. */
export function piecesOf(text: string): string[] {
  return text.match(PIECE) ?? [];
}

/** FNV-1a: equal pieces have equal ids, and different ones hardly ever. */
export function tokenId(piece: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < piece.length; index++) {
    hash = Math.imul(hash ^ piece.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}

/** The token ids of a text. */
export function encode(text: string): number[] {
  return piecesOf(text).map(tokenId);
}
