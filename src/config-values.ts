// Times and sizes as config.yaml writes them.
import { textAs } from "./lib/text-schema.ts";
import { parseDuration, parseSize } from "./lib/units.ts";

const ENDING = 'expected a time that ends, such as "30s" or "5m"';

/** "5m", "1h30m", "forever" → milliseconds. */
export const duration = textAs(parseDuration, 'expected a duration such as "30s", "5m", "1h30m" or "forever"');

/** A time that something may take: none at all would allow nothing. */
export const limit = textAs(
  (text) => parseDuration(text) || undefined,
  'expected a time such as "30s", "15m" or "forever"',
);

/** Every wait is bounded: "forever" is none of these. */
export const ending = textAs((text) => {
  const ms = parseDuration(text);
  return ms === Infinity ? undefined : ms;
}, ENDING);

/** A time that ends, and takes some. */
export const lasting = ending.refine((ms) => ms > 0, ENDING);

/** "64g" → bytes. */
export const size = textAs(parseSize, 'expected a size such as "512m" or "64g"');
