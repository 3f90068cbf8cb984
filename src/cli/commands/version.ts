// version: of this program and of the gateway it talks to, which may be elsewhere and differ.
import { readAnswer, versionAnswer } from "../answers.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { failedWith } from "../failure.ts";
import type { Io } from "../io.ts";
import { withGateway } from "../session.ts";
import { VERSION } from "../version.ts";

export function version(io: Io, options: { readonly json?: boolean }): Promise<ExitCode> {
  return withGateway(io, async ({ client, terminal }) => {
    if (options.json) {
      await terminal.printJson(await client.get("api/version"));
      return EXIT.ok;
    }
    await terminal.print(`aim-engine ${VERSION}`);
    try {
      const gateway = readAnswer(versionAnswer, await client.get("api/version"));
      await terminal.print(`gateway    ${gateway.version} at ${client.url}`);
    } catch (error) {
      // Our own version was asked for as well, and that is known without a gateway.
      if (!failedWith(error, EXIT.unreachable)) throw error;
      await terminal.note(error.message);
    }
    return EXIT.ok;
  });
}
