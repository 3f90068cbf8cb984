// gpus: the GPUs replicas can be placed on, and who holds them.
import { gpusAnswer, readAnswer } from "../answers.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { formatSize } from "../format.ts";
import type { Io } from "../io.ts";
import { withGateway } from "../session.ts";
import { table } from "../table.ts";

const HEADS = ["GPU", "PRODUCT", "RUNTIME", "MEMORY", "USED", "REPLICA", "MODEL"];

export function gpus(io: Io, options: { readonly json?: boolean }): Promise<ExitCode> {
  return withGateway(io, async ({ client, terminal }) => {
    const answer = await client.get("api/gpus");
    if (options.json) {
      await terminal.printJson(answer);
      return EXIT.ok;
    }
    const rows = readAnswer(gpusAnswer, answer).gpus.map((gpu) => [
      gpu.id,
      gpu.product,
      gpu.runtime,
      formatSize(gpu.memoryBytes),
      gpu.usedBytes === undefined ? "" : formatSize(gpu.usedBytes),
      gpu.replica,
      gpu.model,
    ]);
    await terminal.print(table(HEADS, rows));
    if (rows.length === 0) await terminal.note("no GPU that this gateway may place replicas on");
    return EXIT.ok;
  });
}
