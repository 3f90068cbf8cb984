// gpus: the GPUs replicas can be placed on and who holds them; gpus release: ends the quarantine of some.
import { gpuAnswer, gpusAnswer, readAnswer, type GpuAnswer } from "../answers.ts";
import { forEachName } from "../each-name.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { formatSize } from "../format.ts";
import type { Io } from "../io.ts";
import { withGateway } from "../session.ts";
import { table } from "../table.ts";

const HEADS = ["#", "ID", "GPU", "ARCH", "NUMA", "MEMORY", "STATUS", "HELD BY"];

export function gpus(io: Io, options: { readonly json?: boolean }): Promise<ExitCode> {
  return withGateway(io, async ({ client, terminal }) => {
    const answer = await client.get("api/gpus");
    if (options.json) {
      await terminal.printJson(answer);
      return EXIT.ok;
    }
    const known = readAnswer(gpusAnswer, answer).gpus;
    if (known.length === 0) await terminal.note("no GPU that this gateway may place replicas on");
    else await terminal.print(table(HEADS, known.map(row)));
    for (const gpu of known) if (gpu.reason !== "") await terminal.note(why(gpu));
    return EXIT.ok;
  });
}

/** What is in use on them now counts as their usual amount from here on. */
export function releaseGpus(io: Io, ids: readonly string[]): Promise<ExitCode> {
  return withGateway(io, (session) => {
    const ask = async (id: string) =>
      readAnswer(gpuAnswer, await session.client.post(`api/gpus/${encodeURIComponent(id)}/release`));
    return forEachName(session, ids, ask, async (gpu) => {
      await session.terminal.print(gpu.id);
      if (gpu.status !== "free" && gpu.reason !== "") await session.terminal.note(why(gpu));
    });
  });
}

function row(gpu: GpuAnswer): readonly string[] {
  const total = formatSize(gpu.memoryBytes);
  return [
    gpu.number?.toString() ?? "",
    gpu.id,
    `${gpu.product} ${gpu.partition}`,
    gpu.arch,
    gpu.numaNode?.toString() ?? "",
    gpu.usedBytes === undefined ? total : `${formatSize(gpu.usedBytes)} / ${total}`,
    gpu.status,
    gpu.holders.length === 0 ? gpu.replica : gpu.holders.map(heldBy).join(", "),
  ];
}

/** "a-1", "a-1 (0.4)" with its share, "a-1 (asleep)". */
function heldBy({ replica, state, share }: GpuAnswer["holders"][number]): string {
  if (state === "sleeping") return `${replica} (asleep)`;
  return share < 1 ? `${replica} (${share})` : replica;
}

function why({ id, number, status, reason }: GpuAnswer): string {
  const remedy = status === "quarantined" ? `; trust it again with: aim-engine gpus release ${number ?? id}` : "";
  return `${number === undefined ? "" : `${number}  `}${id} is ${status}: ${reason}${remedy}`;
}
