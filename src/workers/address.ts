// Where replicas are, as workers were told.
import { memoized } from "../lib/memo.ts";

const REMEMBERED = { most: 1_000, longest: 200 };

/** The same object for the same address: the connections to a backend are found by it. */
export const addressOf = memoized(REMEMBERED, (address) => new URL(address));
