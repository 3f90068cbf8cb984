// API keys: who may ask at all, and as whom. Looked up by digest: the time that takes tells something of the digest at most,
// and nobody can choose a key by that.
import { hash } from "node:crypto";
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
  const known = new Map(keys.map(({ key, ...client }) => [digestOf(key), client]));
  return (rawHeaders) => {
    const client = known.get(digestOf(offeredKey(rawHeaders)));
    if (client === undefined) throw refused("the API key is not valid");
    return client;
  };
}

/** The one key that the headers carry; an Authorization header of another kind counts as a key that is not valid. */
function offeredKey(rawHeaders: readonly string[]): string {
  let offered: string | undefined;
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const key = keyOf(rawHeaders[at] ?? "", rawHeaders[at + 1] ?? "");
    if (key === undefined || key === offered) continue;
    if (offered !== undefined) throw refused("the request carries more than one API key; send one");
    offered = key;
  }
  if (offered !== undefined) return offered;
  throw refused('no API key was sent; send the header "Authorization: Bearer <key>"');
}

function keyOf(name: string, value: string): string | undefined {
  if (name.length === 13 && name.toLowerCase() === "authorization") return /^bearer +(\S+)$/i.exec(value)?.[1] ?? "";
  if (name.length === 9 && name.toLowerCase() === "x-api-key") return value;
  return undefined;
}

function digestOf(key: string): string {
  return hash("sha256", key, "base64");
}

function refused(message: string): AimError {
  return new AimError("invalid_api_key", message);
}
