// API keys: who may ask at all, and as whom. Compared as digests, all of them, so that timing tells nothing.
import { createHash, timingSafeEqual } from "node:crypto";
import { AimError } from "../errors.ts";
import type { Priority } from "./pool.ts";

/** Who asks, by the key that was sent, and what is granted to that one. */
export interface Client {
  /** For logs and for taking turns; says nothing of the key. Keys of one name are one client. */
  readonly name: string;
  readonly weight: number;
  /** The highest that its requests may have, and what they have unless they ask for less. */
  readonly priority: Priority;
  readonly mayStart: boolean;
}

export interface ApiKey extends Client {
  readonly key: string;
}

/**
 * The client whose key the headers carry; undefined where there are no keys. Throws `invalid_api_key` for any other.
 * Takes raw headers, since Node hides repeated ones.
 */
export type KeyCheck = (rawHeaders: readonly string[]) => Client | undefined;

/** Without any key everyone may ask; whether that is safe where we listen is for the configuration to decide. */
export function createKeyCheck(keys: readonly ApiKey[]): KeyCheck {
  if (keys.length === 0) return () => undefined;
  const known = keys.map(({ key, ...client }) => ({ digest: digestOf(key), client }));
  return (rawHeaders) => {
    const offered = new Set(offeredKeys(rawHeaders));
    if (offered.size > 1) throw refused("the request carries more than one API key; send one");
    const [key] = offered;
    if (key === undefined) throw refused('no API key was sent; send the header "Authorization: Bearer <key>"');
    const offeredDigest = digestOf(key);
    // Never stops at the first that fits.
    const [match] = known.filter(({ digest }) => timingSafeEqual(offeredDigest, digest));
    if (match === undefined) throw refused("the API key is not valid");
    return match.client;
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

function digestOf(key: string): Buffer {
  return createHash("sha256").update(key, "utf8").digest();
}

function refused(message: string): AimError {
  return new AimError("invalid_api_key", message);
}
