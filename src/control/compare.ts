// What a list of a runtime's replicas means for the fleet: pure. The list decides; events only say when to ask for one.
import { z } from "zod";
import { LABELS, LABEL_SCHEMA } from "../catalog/launch-spec.ts";
import type { RuntimeName } from "../catalog/recipe.ts";
import type { BackendRef, ObservedReplica, ReplicaExit } from "../runtime/driver.ts";
import type { FoundReplica } from "./fleet/blueprint.ts";
import type { Replica, ReplicaIdentity, ReplicaState } from "./replica.ts";

const CHOICES = ["name", "gpus"] as const;

const flagsLabel = z
  .string()
  .transform((text, context): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      context.addIssue({ code: "custom", message: "no JSON" });
      return z.NEVER;
    }
  })
  .pipe(z.array(z.string()));

export type Finding =
  /** It ended by itself or was ended from outside; without `exit` nothing of it is left. */
  | { readonly kind: "died"; readonly replica: Replica; readonly exit: ReplicaExit | undefined }
  | { readonly kind: "frozen"; readonly replica: Replica }
  | { readonly kind: "running"; readonly replica: Replica }
  | { readonly kind: "moved"; readonly replica: Replica; readonly ref: BackendRef; readonly address: URL }
  /** Runs, is ours, and the fleet does not know it: it survived a restart of the gateway. */
  | ({ readonly kind: "unknown"; readonly identity: ReplicaIdentity } & FoundReplica)
  /** A remainder of ours that runs nothing: made and never started, or ended while nobody watched. */
  | { readonly kind: "leftover"; readonly ref: BackendRef; readonly createdAt: number | undefined }
  /** Bears our label but not what is needed to take it over; it keeps its GPUs. */
  | { readonly kind: "foreign"; readonly ref: BackendRef; readonly why: string; readonly gpus: readonly string[] };

export interface Comparison {
  readonly runtime: RuntimeName;
  readonly replicas: readonly Replica[];
  readonly observed: readonly ObservedReplica[];
  /** `Clock.now()` when the list was asked for: it says nothing about what began later. */
  readonly askedAt: number;
  /** Whether a ref belongs to a replica that the fleet itself took down, and had not when the list was asked for. */
  isBuried(refId: string, askedAt: number): boolean;
}

export function compare(comparison: Comparison): readonly Finding[] {
  const { runtime, replicas, observed, askedAt } = comparison;
  const mine = replicas.filter((replica) => replica.identity.runtime === runtime);
  const byName = new Map(mine.map((replica) => [replica.name, replica]));
  const met = new Set<string>();
  const seen = new Set(observed.map((one) => one.ref.id));
  const lost = mine
    .filter((replica) => isSettled(replica) && replica.refSince < askedAt && !seen.has(replica.ref?.id ?? ""))
    .map((replica): Finding => ({ kind: "died", replica, exit: undefined }));
  const rest = observed
    .filter((one) => !comparison.isBuried(one.ref.id, askedAt))
    .flatMap((one): readonly Finding[] => {
      const replica = byName.get(one.labels[LABELS.replica] ?? "");
      if (replica === undefined) return [stranger(one, runtime, met)];
      // Under a name we know but with another ref: the driver is just replacing it, or a start is under way.
      return replica.ref?.id === one.ref.id && isSettled(replica) ? known(replica, one) : [];
    });
  return [...lost, ...rest];
}

const SETTLED: readonly ReplicaState[] = ["loading", "ready", "draining", "dozing", "sleeping", "waking"];

/** Started, and not already on its way out: only then does the list have a say. */
function isSettled(replica: Replica): boolean {
  return replica.ref !== undefined && SETTLED.includes(replica.state);
}

function known(replica: Replica, one: ObservedReplica): readonly Finding[] {
  if (one.state === "exited" || one.state === "created") return [{ kind: "died", replica, exit: one.exit }];
  if (one.state === "unresponsive") return [{ kind: "frozen", replica }];
  if (one.address === undefined) return [];
  if (one.address.href !== replica.address?.href) {
    return [{ kind: "moved", replica, ref: one.ref, address: one.address }];
  }
  return [{ kind: "running", replica }];
}

/** `met` holds the names of the strangers before this one. */
function stranger(one: ObservedReplica, runtime: RuntimeName, met: Set<string>): Finding {
  const isRunning = one.state !== "created" && one.state !== "exited";
  const gpus = isRunning ? gpusOf(one.labels) : [];
  const foreign = (why: string): Finding => ({ kind: "foreign", ref: one.ref, why, gpus });
  const schema = one.labels[LABELS.schema];
  if (schema !== LABEL_SCHEMA) return foreign(`its label schema is ${schema ?? "missing"}`);
  if (!isRunning) return { kind: "leftover", ref: one.ref, createdAt: one.createdAt };
  const identity = identityOf(one.labels, runtime);
  if (typeof identity === "string") return foreign(identity);
  if (met.has(identity.name)) return foreign(`another one is called ${identity.name}`);
  met.add(identity.name);
  return { kind: "unknown", identity, ref: one.ref, address: one.address, startedAt: one.startedAt };
}

/** The replica its labels describe, or why they do not. */
export function identityOf(labels: Readonly<Record<string, string>>, runtime: RuntimeName): ReplicaIdentity | string {
  if (labels[LABELS.schema] !== LABEL_SCHEMA)
    return `its label schema is ${labels[LABELS.schema] ?? "missing"}, not ${LABEL_SCHEMA}`;
  const name = labels[LABELS.replica];
  const model = labels[LABELS.model];
  const recipeId = labels[LABELS.recipe];
  const profileId = labels[LABELS.profile];
  if (!name || !model || !recipeId || !profileId) return "its labels do not name replica, model, recipe and profile";
  const keepAlive = keepAliveOf(labels[LABELS.keepAlive]);
  const flags = flagsOf(labels[LABELS.flags]);
  const chosen = CHOICES.filter((choice) => (labels[LABELS.chosen] ?? "").split(",").includes(choice));
  const gpuFraction = shareOf(labels[LABELS.share]);
  return {
    name,
    model,
    recipeId,
    recipeHash: labels[LABELS.recipeHash] ?? "",
    profileId,
    runtime,
    gpus: gpusOf(labels),
    ...(flags.length === 0 ? {} : { flags }),
    ...(chosen.length === 0 ? {} : { chosen }),
    ...(keepAlive === undefined ? {} : { keepAliveMs: keepAlive }),
    ...(gpuFraction === undefined ? {} : { gpuFraction }),
    ...(labels[LABELS.launched] === "true" && { launched: true }),
    ...(labels[LABELS.pinned] === "true" && { pinned: true }),
    adopted: true,
  };
}

function gpusOf(labels: Readonly<Record<string, string>>): readonly string[] {
  return (labels[LABELS.gpus] ?? "").split(",").filter((gpu) => gpu !== "");
}

/** Flags that cannot be read were at least not those of the recipe: the replica counts as one with others. */
function flagsOf(label = "[]"): readonly string[] {
  const parsed = flagsLabel.safeParse(label);
  return parsed.success ? parsed.data : [label];
}

/** A share that cannot be read may be any: the replica counts as one that has its GPUs alone. */
function shareOf(label = ""): number | undefined {
  const share = Number(label);
  return share > 0 && share < 1 ? share : undefined;
}

function keepAliveOf(label = ""): number | undefined {
  if (label === "forever") return Infinity;
  return /^\d+(\.\d+)?$/.test(label) ? Number(label) : undefined;
}
