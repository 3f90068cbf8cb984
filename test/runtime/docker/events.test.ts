// What the docker driver makes of events: which hint, and when.
import { afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import type { DockerDriver } from "../../../src/runtime/docker/driver.ts";
import type { Hint } from "../../../src/runtime/driver.ts";
import { startChaosSocket, type ChaosSocket } from "../../support/chaos-socket.ts";
import { describeWithDocker, makeDockerRig, SOCKET, type DockerRig } from "../../support/docker.ts";
import { until } from "../../support/until.ts";

const EVENTS = /^GET \S*\/events/;

describeWithDocker("hints of the docker driver", () => {
  const never = new AbortController().signal;
  let rig: DockerRig;
  let chaos: ChaosSocket;
  let driver: DockerDriver;
  let watching: AbortController;
  let hints: Hint[];

  beforeAll(async () => {
    rig = await makeDockerRig();
  });
  beforeEach(async () => {
    chaos = await startChaosSocket(SOCKET);
    driver = rig.makeDriver({ socketPath: chaos.socketPath });
    watching = new AbortController();
    hints = [];
  });
  afterEach(async () => {
    watching.abort();
    await driver.close();
    await chaos.close();
    await rig.removeAll();
  });

  const watch = () => driver.watch((hint) => hints.push(hint), watching.signal);
  const kinds = () => hints.map(({ kind }) => kind);

  it("tell which container a kill for memory was in", async () => {
    watch();
    const resources = { memoryBytes: 16 * 2 ** 20, memorySwapBytes: 16 * 2 ** 20 };
    const ref = await driver.start({ ...rig.spec(), resources }, () => {}, never);
    const killed = () => hints.find(({ kind }) => kind === "out_of_memory");
    expect(await until(killed, { timeoutMs: 15_000, what: "the hint" })).toEqual({ kind: "out_of_memory", id: ref.id });
  });

  it("tell nothing but changes while nothing is wrong, the first connection included", async () => {
    watch();
    const ref = await driver.start(rig.spec(), () => {}, never);
    await driver.stop(ref, { graceMs: 5000, reason: "the test is over" }, never);
    await until(() => hints.length >= 4, { what: "hints of a start and a stop" });
    expect(new Set(kinds())).toEqual(new Set(["changed"]));
  });

  it("tell that the engine was away once it is back", async () => {
    watch();
    await until(() => hints.length === 1, { what: "the first connection" });
    chaos.inject(/./, { kind: "drop request" }, 2);
    chaos.cutAll();
    await until(() => hints.length === 2, { what: "the second connection" });
    expect(kinds()).toEqual(["changed", "interrupted"]);
  });

  it("take a stream that ends in good order for an engine that went away", async () => {
    chaos.inject(EVENTS, { kind: "answer", status: 200, body: "" });
    watch();
    await until(() => hints.length === 2, { what: "the second connection" });
    expect(kinds()).toEqual(["changed", "interrupted"]);
  });

  it("call no first connection an interruption, however long it took", async () => {
    chaos.inject(/./, { kind: "drop request" }, 2);
    watch();
    await until(() => hints.length === 1, { what: "the first connection" });
    expect(kinds()).toEqual(["changed"]);
  });

  it.each([
    ['{"Type":"container","Action":"oom","Actor":{"ID":"0123"}}', { kind: "out_of_memory", id: "0123" }],
    ['{"Type":"container","Action":"oom"}', { kind: "changed" }],
    ['{"Type":"container","Action":"die","Actor":{"ID":"0123"}}', { kind: "changed" }],
    ['"a shape of tomorrow"', { kind: "changed" }],
  ])("read the event %s", async (body, hint) => {
    chaos.inject(EVENTS, { kind: "answer", status: 200, body });
    watch();
    await until(() => hints.length >= 2, { what: "the hint" });
    expect(hints.slice(0, 2)).toEqual([{ kind: "changed" }, hint]);
  });

  it("let what was learned of the engine be asked again after it was away", async () => {
    const asked = () => chaos.requests.filter((line) => line.startsWith("GET /version")).length;
    await driver.list(never);
    await driver.list(never);
    expect(asked()).toBe(1);
    watch();
    await until(() => hints.length === 1, { what: "the first connection" });
    chaos.cutAll();
    await until(() => hints.length === 2, { what: "the second connection" });
    expect(asked()).toBe(2);
  });
});
