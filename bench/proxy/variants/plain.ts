// What one writes in an afternoon with the same tools as ours.
import { join } from "node:path";
import { MODEL, startBoth, type Variant } from "../variant.ts";

const PROGRAM = join(import.meta.dirname, "../plain-proxy.ts");

export const plain: Variant = {
  name: "hono-fetch",
  about: "a proxy of 20 lines: Hono and fetch",
  whyMissing: () => undefined,
  start: (place) =>
    startBoth(place, {
      argv: ({ listen, backend }) =>
        Promise.resolve([process.execPath, PROGRAM, String(listen), String(backend), MODEL]),
    }),
};
