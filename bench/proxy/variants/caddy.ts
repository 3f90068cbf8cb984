// caddy on one processor of Go's.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isInstalled } from "../native.ts";
import { startBoth, type Variant } from "../variant.ts";

export const caddy: Variant = {
  name: "caddy",
  about: "caddy, GOMAXPROCS 1, no access log",
  whyMissing: () => (isInstalled("caddy") ? undefined : "there is no caddy here (Debian: caddy)"),
  start: (place) =>
    startBoth(place, {
      async argv({ listen, backend }) {
        const file = join(place.folder, "Caddyfile");
        await writeFile(file, configOf(listen, backend));
        return ["caddy", "run", "--adapter", "caddyfile", "--config", file];
      },
      env: { GOMAXPROCS: "1", XDG_DATA_HOME: place.folder, XDG_CONFIG_HOME: place.folder },
    }),
};

function configOf(listen: number, backend: number): string {
  return `{
  admin off
  auto_https off
  log {
    level ERROR
  }
}
http://127.0.0.1:${listen} {
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:${backend} {
    flush_interval -1
    transport http {
      keepalive 300s
      keepalive_idle_conns 4096
      keepalive_idle_conns_per_host 4096
    }
  }
}
`;
}
