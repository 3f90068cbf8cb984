// The commands that start, change and show replicas: what can be said. What is done about it lies in commands/.
import { Option, type Command } from "commander";
import { atLeastOne, durationText, gpuList, patience, wholeNumber } from "./arguments.ts";
import { AS_JSON, type Calling, type JsonOption } from "./calling.ts";
import type { ExplainOptions } from "./commands/explain.ts";
import type { LaunchOptions } from "./commands/launch.ts";
import type { LogsOptions } from "./commands/logs.ts";
import type { PsOptions } from "./commands/ps.ts";
import type { RestartOptions } from "./commands/restart.ts";
import type { RmOptions } from "./commands/rm.ts";
import type { StatsOptions } from "./commands/stats.ts";
import type { StopOptions } from "./commands/stop.ts";

export function addReplicaVerbs(program: Command, calling: Calling): void {
  addLaunch(program, calling);
  addExplain(program, calling);
  addStop(program, calling);
  addRestart(program, calling);
  addPins(program, calling);
  addViews(program, calling);
  addLogs(program, calling);
}

function addLaunch(program: Command, { io, keep, engineFlags }: Calling): void {
  withWishes(program.command("launch"))
    .description("start a model and wait until it is ready")
    .usage("[options] <model> [gpus] [-- engine flags]")
    .option("--gpus <list>", 'these GPUs and no others: numbers or addresses as "gpus" shows them, e.g. 0,1', gpuList)
    .option("--ttl, --keep-alive <duration>", 'idle time before it is unloaded, e.g. 30m or "forever"', durationText)
    .addOption(
      new Option("--pin", "neither unload it for being idle nor stop it to make room for others").conflicts(
        "keepAlive",
      ),
    )
    .option("--replicas <count>", "how many there should be at least", atLeastOne)
    .option("--name <name>", "what the replica is to be called")
    .option("--timeout <duration>", "wait no longer; the start goes on", patience)
    .option("-d, --detach", "do not wait")
    .addOption(new Option("--wait", "wait until it is ready (the default)").conflicts("detach"))
    .option(
      "--dry-run",
      "only say what would happen; exits 0 if it would start or serve, 6 if it had to wait, 7 if it would be refused",
    )
    .action(async (model: string, gpus: number | undefined, wishes: LaunchOptions) =>
      keep((await import("./commands/launch.ts")).launch(io, { model, gpus, wishes }, engineFlags)),
    );
}

function addExplain(program: Command, { io, keep }: Calling): void {
  withWishes(program.command("explain"))
    .description("say what a launch, or a request, would do now, and why")
    .option(...AS_JSON)
    .action(async (model: string, gpus: number | undefined, wishes: ExplainOptions) =>
      keep((await import("./commands/explain.ts")).explain(io, { model, gpus, wishes })),
    );
}

function withWishes(command: Command): Command {
  return command
    .argument("<model>", "model id or alias")
    .argument("[gpus]", "number of GPUs", wholeNumber)
    .option("--precision <name>", "fp16, bf16, fp8, int8 or int4")
    .option("--engine <name>", "vllm, sglang, llama.cpp, sim or openai")
    .option("--recipe <id>", "this recipe and no other");
}

function addStop(program: Command, { io, keep }: Calling): void {
  const stop = program
    .command("stop")
    .description("stop replicas, after the requests they are serving")
    .argument("[names...]", "replicas or models")
    .option("-a, --all", "every replica")
    .option("-f, --force", "cut the requests they are serving")
    .option("-t, --timeout <duration>", "wait no longer; the stop goes on", patience)
    .action(async (names: string[], options: StopOptions) => {
      if (names.length > 0 === (options.all === true)) stop.error("error: name what to stop, or say --all");
      await keep((await import("./commands/stop.ts")).stop(io, names, options));
    });
}

function addRestart(program: Command, { io, keep }: Calling): void {
  program
    .command("restart")
    .description("stop replicas, start them again as they were and wait until they are ready")
    .argument("<names...>", "replicas or models")
    .option("-f, --force", "cut the requests they are serving")
    .option("-t, --timeout <duration>", "wait no longer; the restart goes on", patience)
    .option("-d, --detach", "do not wait until they are ready")
    .action(async (names: string[], options: RestartOptions) =>
      keep((await import("./commands/restart.ts")).restart(io, names, options)),
    );
  program
    .command("rm")
    .description("remove what is kept of replicas that no longer run: logs, and the memory of a failed start")
    .argument("<names...>", "replicas or models")
    .option("-f, --force", "stop them first")
    .action(async (names: string[], options: RmOptions) =>
      keep((await import("./commands/rm.ts")).rm(io, names, options)),
    );
}

function addPins(program: Command, { io, keep }: Calling): void {
  const add = (action: "pin" | "unpin", description: string) =>
    program
      .command(action)
      .description(description)
      .argument("<names...>", "replicas or models")
      .action(async (names: string[]) => keep((await import("./commands/pin.ts")).pin(io, names, action)));

  add("pin", "keep replicas from being evicted and from being unloaded for being idle, until the gateway restarts");
  add("unpin", "let replicas be evicted and unloaded for being idle again");
}

function addViews(program: Command, { io, keep }: Calling): void {
  program
    .command("ps")
    .description("list replicas")
    .option("-a, --all", "also those that failed, and models that did")
    .option("-q, --quiet", "names only")
    .option("--json", "as the admin API answers, with all replicas")
    .action(async (options: PsOptions) => keep((await import("./commands/ps.ts")).ps(io, options)));
  program
    .command("show")
    .description("show everything known about a replica, model or recipe")
    .argument("<name>", "replica, model or recipe")
    .option(...AS_JSON)
    .action(async (name: string, options: JsonOption) =>
      keep((await import("./commands/show.ts")).show(io, name, options)),
    );
  program
    .command("stats")
    .description("show what replicas use of processor, memory and GPUs")
    .option("-w, --watch", "go on until Ctrl-C")
    .option("--json", "as the admin API answers; one object a line with --watch")
    .action(async (options: StatsOptions) => keep((await import("./commands/stats.ts")).stats(io, options)));
}

function addLogs(program: Command, { io, keep }: Calling): void {
  program
    .command("logs")
    .description("show the output of a replica")
    .argument("<name>", "replica, or a model with one replica")
    .option("-f, --follow", "go on as it comes")
    .option("--tail <lines>", "begin with the last lines", wholeNumber, 100)
    .option("--json", "one object a line")
    .action(async (name: string, options: LogsOptions) =>
      keep((await import("./commands/logs.ts")).logs(io, name, options)),
    );
}
