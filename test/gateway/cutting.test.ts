// Requests that are still under way when the gateway can wait no longer.
import { describe, expect, it } from "vitest";
import { until } from "../support/until.ts";
import { startGateway } from "./harness.ts";

const SHUTTING_DOWN = { error: { code: "shutting_down" } };

async function startCutting() {
  const cutting = new AbortController();
  return { gateway: await startGateway({ cutting: cutting.signal }), cut: () => cutting.abort() };
}

describe("when the time to finish is over", () => {
  it("a stream ends with an error event, and its backend stops", async () => {
    const { gateway, cut } = await startCutting();
    gateway.backend.respond((_, reply) => void reply.sse().push(1));
    const response = await gateway.chat({ stream: true });
    const request = await gateway.backend.nextRequest();
    cut();
    const text = await response.text();
    expect(text).toMatch(/^data: 1\n\n/);
    expect(JSON.parse(text.trimEnd().split("data: ").at(-1) ?? "")).toMatchObject(SHUTTING_DOWN);
    expect(text).not.toContain("[DONE]");
    expect(await request.ended).toBe("aborted");
    expect(gateway.pool.leases[0]?.outcomes).toEqual([{ kind: "client_gone" }]);
    expect((await gateway.ended())[0]).toMatchObject({ outcome: "shutting_down" });
  });

  it("an answer that has not begun becomes a 503", async () => {
    const { gateway, cut } = await startCutting();
    gateway.backend.respond(() => {});
    const pending = gateway.chat();
    await gateway.backend.nextRequest();
    cut();
    const response = await pending;
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject(SHUTTING_DOWN);
  });

  it("an answer that has begun is cut off", async () => {
    const { gateway, cut } = await startCutting();
    gateway.backend.respond((_, reply) => void reply.stream(200, { "content-type": "application/json" }).write("{"));
    const response = await gateway.chat();
    cut();
    await expect(response.text()).rejects.toThrow();
  });

  it("a request that waits for a replica becomes a 503", async () => {
    const { gateway, cut } = await startCutting();
    gateway.pool.hold();
    const pending = gateway.chat();
    await until(() => gateway.pool.asked.length === 1);
    cut();
    expect((await pending).status).toBe(503);
  });
});
