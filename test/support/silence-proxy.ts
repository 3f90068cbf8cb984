// A proxy as they stand in front of gateways: it passes bytes on, and cuts a connection on which none has come for a while.
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

export interface SilenceProxy {
  readonly url: URL;
  close(): Promise<void>;
}

/** Passes every connection on to `target`; one that is silent for `silenceMs` is reset on both sides. */
export async function startSilenceProxy(target: URL, silenceMs: number): Promise<SilenceProxy> {
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect({ host: target.hostname, port: Number(target.port) });
    const cut = () => {
      client.resetAndDestroy();
      upstream.resetAndDestroy();
    };
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.on("close", () => open.delete(socket));
      socket.on("error", cut);
    }
    upstream.setTimeout(silenceMs, cut);
    client.pipe(upstream).pipe(client);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  return {
    url: new URL(`http://127.0.0.1:${port}`),
    async close() {
      const closed = once(server, "close");
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}
