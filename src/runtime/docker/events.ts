// Hints that something happened to a container of ours. Events may be lost and the stream may die: the caller re-lists anyway.
import { z } from "zod";
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

const oomEvent = z.object({ Action: z.literal("oom"), Actor: z.object({ ID: z.string() }) });

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
  let opening: Hint = { kind: "changed" };
  const onOpen = () => {
    onHint(opening);
    opening = { kind: "interrupted" };
  };
  while (!signal.aborted) {
    const openedAt = deps.clock.now();
    try {
      await follow(deps, { onOpen, onHint }, signal);
    } catch (error) {
      if (!signal.aborted) deps.logger.debug({ err: error, pauseMs }, "docker event stream lost");
    }
    // Also when it ended in good order: that is how a Docker that is stopped says goodbye.
    deps.client.lost();
    if (deps.clock.now() - openedAt >= HEALTHY_MS) pauseMs = FIRST_PAUSE_MS;
    // Rejects when the signal aborts, which the loop sees by itself.
    await sleep(deps.clock, pauseMs, signal).catch(() => undefined);
    pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS);
  }
}

interface Listeners {
  readonly onOpen: () => void;
  readonly onHint: (hint: Hint) => void;
}

async function follow(deps: WatchDeps, { onOpen, onHint }: Listeners, signal: AbortSignal): Promise<void> {
  const task = "follow events";
  const stream = await deps.client.open(task, LIMITS.act, signal, (docker, abortSignal) =>
    docker.getEvents({ filters: { type: ["container"], label: [deps.label], event: ACTIONS }, abortSignal }),
  );
  onOpen();
  for await (const event of readJsonLines(stream, task)) {
    if (signal.aborted) return;
    onHint(readHint(event));
  }
}

/** Everything but a kill for memory is told by the next list. */
function readHint(event: unknown): Hint {
  const parsed = oomEvent.safeParse(event);
  return parsed.success ? { kind: "out_of_memory", id: parsed.data.Actor.ID } : { kind: "changed" };
}
