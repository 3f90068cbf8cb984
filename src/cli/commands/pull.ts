// pull: fetches the image of a model, or an image by its name, before anybody needs it.
import { pullAnswer, readAnswer, type PullProgressAnswer } from "../answers.ts";
import { EXIT, exitCodeOf, type ExitCode } from "../exit-codes.ts";
import { CliError, isLeaving } from "../failure.ts";
import { formatSeconds } from "../format.ts";
import type { Io } from "../io.ts";
import { createProgress } from "../progress.ts";
import { pullBars, pullSummary } from "../pull-bars.ts";
import { withGateway, type Session } from "../session.ts";
import { suggestName } from "../unknown-name.ts";

export interface PullOptions {
  /** The image's name alone. */
  readonly quiet?: boolean;
  readonly json?: boolean;
}

export function pull(io: Io, name: string, options: PullOptions): Promise<ExitCode> {
  return withGateway(io, async (session) => {
    try {
      await session.terminal.print(await fetchImage(io, session, { name, options }));
      return EXIT.ok;
    } catch (error) {
      if (!isLeaving(error)) throw await suggestName(session, error, name);
      await session.terminal.note(
        `detached: the pull goes on only if a start needs it; what is complete is kept: aim-engine pull ${name}`,
      );
      return error.exitCode;
    }
  });
}

interface Wanted {
  readonly name: string;
  readonly options: PullOptions;
}

/** Resolves with what is to be printed at last. */
async function fetchImage(io: Io, session: Session, { name, options }: Wanted): Promise<string> {
  const show = progressOf(io, session);
  const isSilent = options.quiet === true || options.json === true;
  try {
    for await (const line of session.client.lines("api/pull", { accept: "application/x-ndjson", post: { name } })) {
      const step = readAnswer(pullAnswer, JSON.parse(line));
      if ("error" in step) throw new CliError(exitCodeOf(step.error.code), step.error.message);
      if (step.kind === "done") return options.json ? line : step.image;
      if (options.json) await session.terminal.print(line);
      if (!isSilent) show.step(step);
    }
  } finally {
    show.end();
  }
  throw new CliError(EXIT.unreachable, `the gateway ended the pull of ${name} before it was done`, {
    hint: "It is stopping: pull again when it is back; what is complete is kept.",
  });
}

function progressOf(io: Io, { clock }: Session) {
  const progress = createProgress(io);
  const began = clock.now();
  return {
    step(pulled: PullProgressAnswer) {
      const summary = pullSummary(pulled);
      const text = `${pulled.image}  pulling${summary === "" ? "" : `: ${summary}`}`;
      const elapsed = formatSeconds(clock.now() - began);
      progress.show([{ key: "", phase: "pulling", text, elapsed, details: pullBars(pulled, io.stderr.columns) }]);
    },
    end: () => progress.end(),
  };
}
