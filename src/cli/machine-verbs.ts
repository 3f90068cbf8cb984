// The commands about what there is to run models on and with: what can be said. What is done about it lies in commands/.
import type { Command } from "commander";
import { AS_JSON, type Calling, type JsonOption } from "./calling.ts";
import type { DoctorOptions } from "./commands/doctor.ts";
import type { EventsOptions } from "./commands/events.ts";
import type { PullOptions } from "./commands/pull.ts";

export function addMachineVerbs(program: Command, calling: Calling): void {
  addLists(program, calling);
  addGpus(program, calling);
  addPull(program, calling);
  addDoctor(program, calling);
}

function addLists(program: Command, { io, keep }: Calling): void {
  const add = (name: string, description: string) =>
    program
      .command(name)
      .description(description)
      .option(...AS_JSON);

  add("models", "list what can be asked for, running or not").action(async (options: JsonOption) =>
    keep((await import("./commands/models.ts")).models(io, options)),
  );
  add("recipes", "list how models can be served").action(async (options: JsonOption) =>
    keep((await import("./commands/recipes.ts")).recipes(io, options)),
  );
  add("events", "show what the gateway did")
    .option("-f, --follow", "go on as it happens")
    .option("--type <words>", "first words of the type: decision, or decision:stop")
    .option("--model <model>", "of this model only")
    .option("--replica <name>", "of this replica only")
    .action(async (options: EventsOptions) => keep((await import("./commands/events.ts")).events(io, options)));
}

function addGpus(program: Command, { io, keep }: Calling): void {
  const gpus = program
    .command("gpus")
    .description("list GPUs and who holds them")
    .option(...AS_JSON)
    .action(async (options: JsonOption) => keep((await import("./commands/gpus.ts")).gpus(io, options)));
  gpus
    .command("release")
    .description("end the quarantine of GPUs: what is in use on them now counts as usual")
    .argument("<ids...>", 'numbers or addresses as "gpus" shows them')
    .action(async (ids: string[]) => keep((await import("./commands/gpus.ts")).releaseGpus(io, ids)));
}

function addPull(program: Command, { io, keep }: Calling): void {
  program
    .command("pull")
    .description("fetch the image of a model, or an image, before anybody needs it")
    .argument("<name>", "model, recipe or image")
    .option("-q, --quiet", "no progress")
    .option("--json", "one object a line")
    .action(async (name: string, options: PullOptions) =>
      keep((await import("./commands/pull.ts")).pull(io, name, options)),
    );
}

function addDoctor(program: Command, { io, keep }: Calling): void {
  program
    .command("doctor")
    .description("look for what could keep replicas from running well; exits 1 when there is a problem")
    .option("--config <file>", "ask the gateway of this configuration, or go by it where none answers")
    .option(...AS_JSON)
    .action(async (options: DoctorOptions) => keep((await import("./commands/doctor.ts")).doctor(io, options)));
}
