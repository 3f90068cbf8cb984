// Hints that something happened to a container of ours. Events may be lost and the stream may die: the caller re-lists anyway.
import { sleep, type Clock } from "../../lib/clock.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { LIMITS, type DockerClient } from "./client.ts";
import type { Hint } from "../driver.ts";
import { readJsonLines } from "./json-lines.ts";

export interface WatchDeps {
  readonly client: DockerClient;
  readonly clock: Clock;
  readonly logger: Logger;
  /** "name=value" of the label that ours bear. */
  readonly label: string;
}

/** Not "exec_…", "top" and the like, which change nothing. */
const ACTIONS = ["create", "start", "die", "oom", "stop", "destroy", "pause", "unpause", "rename", "restart"];
const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 10_000;
/** A stream that lived this long worked; the next one is opened without delay. */
const HEALTHY_MS = 10_000;

/**
 * Calls `onHint` at each event, and whenever the stream was (re)opened, since events may have been missed until then:
 * that is why no position in the stream is kept. Resolves when the signal aborts; never rejects.
 */
export async function watchContainers(
  deps: WatchDeps,
  onHint: (hint: Hint) => void,
  signal: AbortSignal,
): Promise<void> {
  let pauseMs = FIRST_PAUSE_MS;
  while (!signal.aborted) {
    const openedAt = deps.clock.now();
    try {
      await follow(deps, onHint, signal);
    } catch (error) {
      if (!signal.aborted) deps.logger.debug({ err: error, pauseMs }, "docker event stream lost");
    }
    if (deps.clock.now() - openedAt >= HEALTHY_MS) pauseMs = FIRST_PAUSE_MS;
    // Rejects when the signal aborts, which the loop sees by itself.
    await sleep(deps.clock, pauseMs, signal).catch(() => undefined);
    pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS);
  }
}

async function follow(deps: WatchDeps, onHint: (hint: Hint) => void, signal: AbortSignal): Promise<void> {
  const task = "follow events";
  const stream = await deps.client.open(task, LIMITS.act, signal, (docker, abortSignal) =>
    docker.getEvents({ filters: { type: ["container"], label: [deps.label], event: ACTIONS }, abortSignal }),
  );
  onHint({ kind: "changed" });
  const events = readJsonLines(stream, task);
  while ((await events.next()).done !== true && !signal.aborted) onHint({ kind: "changed" });
}
