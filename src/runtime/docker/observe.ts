// What Docker says about one container, read into our words. Only the fields we use are asked for.
import { constants } from "node:os";
import { z } from "zod";
import { DOCKER_LABELS } from "./labels.ts";
import type { ObservedReplica, ReplicaExit } from "../driver.ts";

/** The port every engine is told to listen on inside its container. */
export const ENGINE_PORT = 8000;

const endpoint = z.object({ IPAddress: z.string().default("") });
const binding = z.object({ HostIp: z.string(), HostPort: z.string() });

const inspectAnswer = z.object({
  Id: z.string(),
  Name: z.string(),
  Created: z.string().default(""),
  Image: z.string().optional(),
  State: z.object({
    Status: z.string(),
    ExitCode: z.number(),
    OOMKilled: z.boolean().default(false),
    StartedAt: z.string(),
  }),
  Config: z.object({
    Tty: z.boolean().default(false),
    Env: z.array(z.string()).nullish(),
    Labels: z.record(z.string(), z.string()).nullish(),
  }),
  HostConfig: z.object({ NetworkMode: z.string().default("") }).prefault({}),
  // `NetworkSettings.IPAddress` beside `Networks` is gone since API 1.52.
  NetworkSettings: z.object({
    Networks: z.record(z.string(), endpoint).nullish(),
    Ports: z.record(z.string(), z.array(binding).nullable()).nullish(),
  }),
});

/** A container as `inspect` shows it. */
export interface Inspected extends ObservedReplica {
  readonly tty: boolean;
  /** Its whole environment, that of the image included: "NAME=value". */
  readonly env: readonly string[];
  /** "bridge", "host", "none", "container:ID" or the name of a network. */
  readonly networkMode: string;
}

/** How replicas are reached. */
export interface Reach {
  /** The network whose address is dialled. */
  readonly network: string;
  /** Dial the port published on the host instead: only where containers' own addresses cannot be reached. */
  readonly publish: boolean;
}

/** Undefined when it is no answer to `inspect`. */
export function readInspect(answer: unknown, reach: Reach): Inspected | undefined {
  const parsed = inspectAnswer.safeParse(answer);
  if (!parsed.success) return undefined;
  const { Id, Name, Image, State, Config } = parsed.data;
  const state = readState(State.Status);
  const address = state === "running" || state === "unresponsive" ? readAddress(parsed.data, reach) : undefined;
  const startedAt = Date.parse(State.StartedAt);
  const createdAt = Date.parse(parsed.data.Created);
  return {
    ref: { id: Id, name: Name.replace(/^\//, "") },
    labels: Config.Labels ?? {},
    state,
    ...(address === undefined ? {} : { address }),
    // One that never started says "0001-01-01T00:00:00Z".
    ...(startedAt > 0 ? { startedAt } : {}),
    ...(createdAt > 0 ? { createdAt } : {}),
    ...(Image === undefined ? {} : { imageId: Image }),
    ...(state === "exited" ? { exit: readExit(State) } : {}),
    tty: Config.Tty,
    env: Config.Env ?? [],
    networkMode: parsed.data.HostConfig.NetworkMode,
  };
}

/** Without what only the driver needs. */
export function toObserved({ tty: _tty, env: _env, networkMode: _mode, ...observed }: Inspected): ObservedReplica {
  return observed;
}

function readState(status: string): ObservedReplica["state"] {
  switch (status) {
    case "created":
    case "running":
      return status;
    // A paused container accepts connections and never answers.
    case "paused":
    case "restarting":
      return "unresponsive";
    // "exited", "dead", "removing"
    default:
      return "exited";
  }
}

type InspectAnswer = z.infer<typeof inspectAnswer>;

function readAddress({ NetworkSettings: settings, HostConfig, Config }: InspectAnswer, reach: Reach): URL | undefined {
  if (HostConfig.NetworkMode === "host") return hostAddress(Config.Labels?.[DOCKER_LABELS.port] ?? "");
  if (reach.publish) {
    const published = settings.Ports?.[`${ENGINE_PORT}/tcp`]?.[0];
    return published === undefined ? undefined : new URL(`http://${published.HostIp}:${published.HostPort}`);
  }
  const networks = settings.Networks ?? {};
  // One adopted from before the setting changed is on another network.
  const chosen = [networks[reach.network], ...Object.values(networks)].find((one) => (one?.IPAddress ?? "") !== "");
  return chosen === undefined ? undefined : new URL(`http://${chosen.IPAddress}:${ENGINE_PORT}`);
}

function readExit(state: { readonly ExitCode: number; readonly OOMKilled: boolean }): ReplicaExit {
  // The init process of the container reports a signal n as the exit code 128 + n.
  const signal = Object.entries(constants.signals).find(([, number]) => number === state.ExitCode - 128)?.[0];
  return {
    code: state.ExitCode,
    ...(signal === undefined ? {} : { signal }),
    outOfMemory: state.OOMKilled,
  };
}

function hostAddress(port: string): URL | undefined {
  return /^\d{1,5}$/.test(port) && Number(port) <= 65_535 ? new URL(`http://127.0.0.1:${port}`) : undefined;
}
