// "Did you mean …?": the known word nearest to a misspelt one.
import { distance } from "fastest-levenshtein";

/** No name of ours is longer; a longer word is no typo, and comparing it would cost. */
const LONGEST_WORD = 160;

/** The candidate that `word` most likely was meant to be; undefined when none is near. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length > LONGEST_WORD) return undefined;
  const meant = plain(word);
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(meant.length / 3)) + 1;
  for (const candidate of candidates) {
    const far = distance(meant, plain(candidate));
    if (far < bestDistance) [best, bestDistance] = [candidate, far];
  }
  return best;
}

/** Case, dashes and underscores are what people mix up most: `keep_alive` is `keepAlive`. */
function plain(word: string): string {
  return word.toLowerCase().replaceAll(/[-_]/g, "");
}
