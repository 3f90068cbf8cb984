// Keeps other web pages away from the admin API.
import type { Context } from "hono";
import { AimError } from "../errors.ts";

/** No answer is cached, and no other web page changes anything: browsers say where a request comes from. */
export async function guard(c: Context, next: () => Promise<void>): Promise<void> {
  const reads = c.req.method === "GET" || c.req.method === "HEAD";
  if (!reads && isForeign(c)) {
    throw new AimError("forbidden_host", "requests that change something are refused from other web pages");
  }
  await next();
  c.header("Cache-Control", "no-store");
}

/** Over plain HTTP browsers leave out Sec-Fetch-Site, but never Origin; what is no browser sends neither. */
function isForeign(c: Context): boolean {
  const site = c.req.header("sec-fetch-site");
  if (site !== undefined) return site !== "same-origin" && site !== "none";
  const origin = c.req.header("origin");
  return origin !== undefined && URL.parse(origin)?.host !== c.req.header("host");
}
