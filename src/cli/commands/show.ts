// show: everything known about a replica, a model or a recipe.
import { readAnswer, showAnswer, type ShowAnswer } from "../answers.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { commandLine, facts } from "../facts.ts";
import { formatDuration, formatRoughly } from "../../lib/units.ts";
import { formatState } from "../format.ts";
import type { Io } from "../io.ts";
import { withGateway } from "../session.ts";
import { suggestName } from "../unknown-name.ts";

type ReplicaShown = Extract<ShowAnswer, { kind: "replica" }>;
type ModelShown = Extract<ShowAnswer, { kind: "model" }>;

export function show(io: Io, name: string, options: { readonly json?: boolean }): Promise<ExitCode> {
  return withGateway(io, async (session) => {
    const { client, terminal } = session;
    const answer = await client.get(`api/show/${encodeURIComponent(name)}`).catch(async (error: unknown) => {
      throw await suggestName(session, error, name);
    });
    if (options.json) await terminal.printJson(answer);
    else await terminal.print(describe(readAnswer(showAnswer, answer)));
    return EXIT.ok;
  });
}

function describe(shown: ShowAnswer): string {
  if (shown.kind === "replica") return describeReplica(shown);
  return [describeModel(shown), ...shown.recipes.map(describeRecipe)].join("\n\n");
}

function describeReplica({ replica, details }: ReplicaShown): string {
  return facts([
    ["REPLICA", replica.name],
    ["MODEL", replica.model],
    ["STATE", formatState(replica.state, replica.reason, replica.etaSeconds)],
    ["RECIPE", replica.recipe],
    ["PROFILE", replica.profile],
    ["RUNTIME", replica.runtime],
    ["GPUS", replica.gpus.join(", ")],
    ["SHARE", replica.gpuShare === undefined ? "" : `${replica.gpuShare} of each`],
    ["IN-FLIGHT", String(replica.inFlight)],
    ["STARTED", replica.startedAt],
    ["READY", replica.readyAt],
    ["PINNED", replica.pinned ? "yes: neither evicted nor unloaded for being idle" : ""],
    ["KEEP-ALIVE", replica.keepAliveSeconds === undefined ? "" : formatDuration(replica.keepAliveSeconds * 1000)],
    ["SLEEPS", replica.sleepsAt],
    ["SLEEP LEVEL", replica.sleepLevel?.toString()],
    ["UNTIL", replica.idleUntil],
    ["PHASES", details.phases.map(({ phase, seconds }) => `${phase} ${formatDuration(seconds * 1000)}`).join(", ")],
    ["ADDRESS", replica.address],
    ["BACKEND", replica.backend],
    ["IMAGE", details.image],
    ["IMAGE ID", details.imageId],
    ["COMMAND", commandLine(details.argv)],
    ["FLAGS", commandLine(replica.flags)],
    ["ENV", Object.entries(details.env).map(([name, value]) => `${name}=${value}`)],
    ["MOUNTS", details.mounts],
    ["LOG", details.logFile],
  ]);
}

function describeModel({ model }: ModelShown): string {
  return facts([
    ["MODEL", model.model],
    ["ALIASES", model.aliases.join(", ")],
    ["STATUS", model.status],
    ["REASON", model.reason],
    ["READY IN", model.etaSeconds === undefined ? "" : `about ${formatRoughly(model.etaSeconds * 1000)}`],
    ["REPLICAS", String(model.replicas)],
    ["IN-FLIGHT", String(model.inFlight)],
    ["WAITING", String(model.waiting)],
  ]);
}

function describeRecipe(recipe: ModelShown["recipes"][number]): string {
  return facts([
    ["RECIPE", recipe.id],
    ["FILE", recipe.file],
    ["ENGINE", recipe.engine],
    ["RUNTIME", recipe.runtime],
    ["PRECISION", recipe.precision],
    ["HARDWARE", recipe.hardware.join(", ")],
    ["IMAGE", recipe.image],
    ["PROFILES", recipe.profiles.map(({ id, gpus, default: isDefault }) => profile(recipe, { id, gpus, isDefault }))],
    ["NOTES", recipe.notes],
  ]);
}

function profile(
  { argv }: ModelShown["recipes"][number],
  { id, gpus, isDefault }: { readonly id: string; readonly gpus: number; readonly isDefault: boolean },
): string {
  const size = `${gpus} GPU${gpus === 1 ? "" : "s"}${isDefault ? ", default" : ""}`;
  return [`${id} (${size})`, commandLine(argv[id] ?? [])].filter((text) => text !== "").join(": ");
}
