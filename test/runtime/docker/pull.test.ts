// Pulls, with answers of Docker's made up where a registry cannot be made to give them.
import { afterEach, beforeAll, beforeEach, expect, it, onTestFinished } from "vitest";
import { LIMITS } from "../../../src/runtime/docker/client.ts";
import type { DockerDriver } from "../../../src/runtime/docker/driver.ts";
import type { PullProgress, StartPhase } from "../../../src/runtime/driver.ts";
import { startChaosSocket, type ChaosSocket } from "../../support/chaos-socket.ts";
import { FakeClock } from "../../support/clock.ts";
import { failureOf } from "../../support/failure-of.ts";
import { describeWithDocker, makeDockerRig, SOCKET, type DockerRig } from "../../support/docker.ts";
import { until } from "../../support/until.ts";

const never = new AbortController().signal;
const PULL = /^POST \S*\/images\/create/;
const MISSING = "aim-engine-nowhere:test";

function lines(...values: readonly object[]): string {
  return values.map((value) => `${JSON.stringify(value)}\n`).join("");
}

const DOWNLOADING = { status: "Downloading", id: "a", progressDetail: { current: 50, total: 100 } };

describeWithDocker("a pull", () => {
  let rig: DockerRig;
  let chaos: ChaosSocket;
  let driver: DockerDriver;

  beforeAll(async () => {
    rig = await makeDockerRig();
  });
  beforeEach(async () => {
    chaos = await startChaosSocket(SOCKET);
    driver = rig.makeDriver({ socketPath: chaos.socketPath });
  });
  afterEach(async () => {
    await driver.close();
    await chaos.close();
    await rig.removeAll();
  });

  const missing = () => ({ ...rig.spec(), image: MISSING });
  const pulls = () => chaos.requests.filter((line) => PULL.test(line));
  const answer = (body: string, status = 200) => chaos.inject(PULL, { kind: "answer", status, body });

  it("reports how far it is, the last word included, and fails for an error inside a good answer", async () => {
    answer(lines(DOWNLOADING, { errorDetail: { message: "unexpected EOF" }, error: "unexpected EOF" }));
    const phases: StartPhase[] = [];
    const error = await failureOf(driver.start(missing(), (phase) => phases.push(phase), never));
    expect(error).toMatchObject({ code: "runtime_failed", data: { failure: "pull_interrupted" } });
    expect(error.message).toContain("unexpected EOF");
    expect(phases[0]).toEqual({ kind: "pulling", doneBytes: 0, totalBytes: undefined, layers: [] });
    expect(phases.at(-1)).toMatchObject({ kind: "pulling", doneBytes: 50, totalBytes: 100 });
  });

  it("reports five times a second at most", async () => {
    answer(lines(...Array.from({ length: 5000 }, () => DOWNLOADING)));
    const seen: PullProgress[] = [];
    const startedAt = performance.now();
    await failureOf(driver.pull(MISSING, (progress) => seen.push(progress), never));
    const tookMs = performance.now() - startedAt;
    expect(seen.length).toBeGreaterThan(1);
    expect(seen.length).toBeLessThanOrEqual(3 + tookMs / 200);
  });

  it("is not believed when its stream just ends", async () => {
    answer(lines(DOWNLOADING));
    const error = await failureOf(driver.start(missing(), () => {}, never));
    expect(error.message).toContain("is not there");
    expect(error.data["failure"]).toBe("pull_failed");
  });

  it("fails cleanly for a malformed line", async () => {
    answer('{"status":"Pull');
    expect((await failureOf(driver.start(missing(), () => {}, never))).data["failure"]).toBe("pull_failed");
  });

  it("names the remedy for an image that does not exist, and says so once", async () => {
    answer('{"message":"manifest unknown"}', 404);
    const error = await failureOf(driver.start(missing(), () => {}, never));
    expect(error.data).toMatchObject({ status: 404, failure: "image_not_found" });
    expect(error.message).toBe(
      `cannot pull image ${MISSING}: manifest unknown; check the image's name and tag in the recipe`,
    );
  });

  it("is no failure of the image when Docker itself goes away", async () => {
    chaos.inject(PULL, { kind: "drop answer" });
    expect((await failureOf(driver.start(missing(), () => {}, never))).code).toBe("runtime_unavailable");
  });

  it("is done once for an image that two starts need, until neither needs it", async () => {
    chaos.inject(PULL, { kind: "hang" });
    const leaving = [new AbortController(), new AbortController()] as const;
    const starts = leaving.map(({ signal }) => driver.start(missing(), () => {}, signal));
    await until(() => pulls().length > 0);
    leaving[0].abort(new Error("one left"));
    await expect(starts[0]).rejects.toThrow("one left");
    leaving[1].abort(new Error("both left"));
    await expect(starts[1]).rejects.toThrow("both left");
    expect(pulls()).toHaveLength(1);
  });

  it("is given up when nothing is heard for long", async () => {
    const clock = new FakeClock();
    const patient = rig.makeDriver({ socketPath: chaos.socketPath, clock });
    onTestFinished(() => patient.close());
    chaos.inject(PULL, { kind: "hang" });
    const failed = failureOf(patient.start(missing(), () => {}, never));
    await until(() => pulls().length > 0);
    await clock.advance(LIMITS.pullSilence);
    expect(await failed).toMatchObject({ data: { failure: "pull_stalled" } });
    expect((await failed).message).toMatch(/nothing was heard .* for 120 s; .*docker\.pullSilence/);
  });

  it("begins anew after a failure: nothing is remembered of it", async () => {
    answer(lines({ error: "unexpected EOF" }));
    await failureOf(driver.pull(MISSING, () => {}, never));
    answer('{"message":"manifest unknown"}', 404);
    expect((await failureOf(driver.pull(MISSING, () => {}, never))).data["failure"]).toBe("image_not_found");
    expect(pulls()).toHaveLength(2);
  });

  it("is not begun where the policy forbids it, which the error says", async () => {
    const error = await failureOf(driver.start({ ...missing(), pull: "never" }, () => {}, never));
    expect(error.data["failure"]).toBe("image_not_found");
    expect(error.message).toMatch(/docker\.pull forbids .*"docker pull aim-engine-nowhere:test" or "docker load"/);
    expect(pulls()).toEqual([]);
  });

  it("is begun for an image that is there where the policy is always, and its failure counts", async () => {
    answer('{"message":"dial tcp 127.0.0.1:1: connect: connection refused"}', 500);
    const error = await failureOf(driver.start({ ...rig.spec(), pull: "always" }, () => {}, never));
    expect(error.data["failure"]).toBe("registry_unreachable");
    expect(pulls()).toHaveLength(1);
  });

  it("is not needed for an image's id, and says so for one that is not there", async () => {
    const { Id } = await rig.docker.getImage(rig.spec().image!).inspect();
    await driver.start({ ...rig.spec(), image: Id, pull: "always" }, () => {}, never);
    const error = await failureOf(driver.pull(`sha256:${"0".repeat(64)}`, () => {}, never));
    expect(error.data["failure"]).toBe("image_not_found");
    expect(pulls()).toEqual([]);
  });
});
