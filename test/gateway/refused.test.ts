import { connect } from "node:net";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { apiKey, CHAT, startGateway } from "./harness.ts";

describe("a request that is refused before it is read", () => {
  it.each(["end", "resetAndDestroy"] as const)(
    "harms nobody when its client leaves in the middle of its body (%s)",
    async (leave) => {
      const gateway = await startGateway({ keys: [apiKey("sk-right")] });
      const sockets = Array.from({ length: 20 }, () => connect(Number(gateway.url.port), "127.0.0.1"));
      await Promise.all(
        sockets.map(async (socket) => {
          socket.on("error", () => {});
          socket.write(
            `POST ${CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"model":`,
          );
          await once(socket, "data");
          socket[leave]();
          await once(socket, "close");
        }),
      );
      const headers = { authorization: "Bearer sk-right" };
      expect((await gateway.chat({}, { headers })).status).toBe(200);
      expect(await gateway.counter("aim_rejections_total", { reason: "invalid_api_key" })).toBe(20);
    },
  );
});
