// haproxy with one thread.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isInstalled } from "../native.ts";
import { startBoth, type Variant } from "../variant.ts";

export const haproxy: Variant = {
  name: "haproxy",
  about: "haproxy, one thread, no log",
  whyMissing: () => (isInstalled("haproxy") ? undefined : "there is no haproxy here (Debian: haproxy)"),
  start: (place) =>
    startBoth(place, {
      async argv({ listen, backend }) {
        const file = join(place.folder, "haproxy.cfg");
        await writeFile(file, configOf(listen, backend));
        return ["haproxy", "-db", "-q", "-f", file];
      },
    }),
};

function configOf(listen: number, backend: number): string {
  return `
global
  nbthread 1
  maxconn 4500
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  timeout http-keep-alive 300s
  http-reuse always
  option http-no-delay
listen bench
  bind 127.0.0.1:${listen} backlog 4096
  server backend 127.0.0.1:${backend} pool-max-conn -1
`;
}
