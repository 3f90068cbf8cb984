// nginx with one worker: passes everything on, looks at nothing, keeps no log. What all others are compared with.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isInstalled } from "../native.ts";
import { startBoth, type Variant } from "../variant.ts";

export const nginx: Variant = {
  name: "nginx",
  about: "nginx, one worker, no access log, request bodies kept in memory",
  whyMissing: () => (isInstalled("nginx") ? undefined : "there is no nginx here (Debian: nginx-light)"),
  start: (place) =>
    startBoth(place, {
      async argv({ listen, backend }) {
        const file = join(place.folder, "nginx.conf");
        await mkdir(join(place.folder, "temp"));
        await writeFile(file, configOf(place.folder, listen, backend));
        return ["nginx", "-p", place.folder, "-e", "stderr", "-c", file];
      },
    }),
};

function configOf(folder: string, listen: number, backend: number): string {
  const temp = join(folder, "temp");
  return `
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${folder}/nginx.pid;
error_log stderr error;
events { worker_connections 10000; }
http {
  access_log off;
  client_body_temp_path ${temp}/body;
  proxy_temp_path ${temp}/proxy;
  fastcgi_temp_path ${temp}/fastcgi;
  uwsgi_temp_path ${temp}/uwsgi;
  scgi_temp_path ${temp}/scgi;
  client_max_body_size 64m;
  client_body_buffer_size 8m;
  keepalive_timeout 300s;
  keepalive_requests 1000000000;
  upstream backend {
    server 127.0.0.1:${backend};
    keepalive 4096;
    keepalive_requests 1000000000;
    keepalive_timeout 300s;
  }
  server {
    listen 127.0.0.1:${listen} backlog=4096;
    location / {
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 300s;
    }
  }
}
`;
}
