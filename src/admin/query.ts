// Reads query parameters strictly: a misspelt number is an error, not the default.
import type { Context } from "hono";
import { AimError } from "../errors.ts";

/** `?name`, `?name=true` and `?name=1` are true; absent, `false` and `0` are false. */
export function readFlag(c: Context, name: string): boolean {
  const text = c.req.query(name);
  if (text === undefined || text === "false" || text === "0") return false;
  if (text === "" || text === "true" || text === "1") return true;
  throw new AimError("invalid_value", `${name} must be true or false, not "${text}"`, { param: name });
}

/** A whole number from 0 on. */
export function readCount(
  c: Context,
  name: string,
  bounds: { readonly absent: number; readonly max?: number },
): number {
  const text = c.req.query(name);
  if (text === undefined) return bounds.absent;
  const max = bounds.max ?? Number.MAX_SAFE_INTEGER;
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= max) return value;
  throw new AimError("invalid_value", `${name} must be a whole number from 0 to ${max}, not "${text}"`, {
    param: name,
  });
}
