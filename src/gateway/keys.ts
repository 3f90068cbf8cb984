// API keys: who may ask at all. Compared as digests, all of them, so that timing tells nothing.
import { createHash, timingSafeEqual } from "node:crypto";
import { AimError } from "../errors.ts";

/** Throws `invalid_api_key` unless the headers carry one of the keys. Takes raw headers, since Node hides repeated ones. */
export type KeyCheck = (rawHeaders: readonly string[]) => void;

/** Without any key everyone may ask; whether that is safe where we listen is for the configuration to decide. */
export function createKeyCheck(keys: readonly string[]): KeyCheck {
  if (keys.length === 0) return () => {};
  const digests = keys.map(digest);
  return (rawHeaders) => {
    const offered = new Set(offeredKeys(rawHeaders));
    if (offered.size > 1) throw refused("the request carries more than one API key; send one");
    const [key] = offered;
    if (key === undefined) throw refused('no API key was sent; send the header "Authorization: Bearer <key>"');
    if (!matchesAny(digest(key), digests)) throw refused("the API key is not valid");
  };
}

/** An Authorization header of another kind counts as a key that is not valid. */
function* offeredKeys(rawHeaders: readonly string[]): Generator<string> {
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]?.toLowerCase();
    const value = rawHeaders[at + 1] ?? "";
    if (name === "authorization") yield /^bearer +(\S+)$/i.exec(value)?.[1] ?? "";
    if (name === "x-api-key") yield value;
  }
}

function matchesAny(offered: Buffer, digests: readonly Buffer[]): boolean {
  let found = false;
  for (const known of digests) found = timingSafeEqual(offered, known) || found;
  return found;
}

function digest(key: string): Buffer {
  return createHash("sha256").update(key, "utf8").digest();
}

function refused(message: string): AimError {
  return new AimError("invalid_api_key", message);
}
