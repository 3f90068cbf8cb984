// `aim-engine serve`: the gateway as a process. Says where it listens and what it can serve; ends cleanly on a signal.
import { AimError } from "../errors.ts";
import { loadConfig, parseListen, type Config } from "../config.ts";
import { createLogger, type Logger } from "../telemetry/logger.ts";
import type { System } from "../compose.ts";
import { EXIT } from "./exit-codes.ts";
import { VERSION } from "./version.ts";

/** Runs until a signal ends it; resolves with the exit code. */
export async function serve(options: { readonly config?: string; readonly listen?: string }): Promise<number> {
  const config = withListen(await loadConfig(options.config), options.listen);
  const logger = createLogger({ level: config.log.level, pretty: process.stdout.isTTY });
  // Imported here so that every other command starts without Docker, HTTP server and metrics.
  const { compose } = await import("../compose.ts");
  const system = await compose(config, { logger, version: VERSION });
  logger.info({ url: system.url.href, config: config.file ?? "defaults" }, "listening");
  void system.surveyed.then(() => announce(system, logger));
  return untilStopped(system, logger);
}

function withListen(config: Config, text: string | undefined): Config {
  if (text === undefined) return config;
  const listen = parseListen(text);
  if (listen === undefined)
    throw new AimError("invalid_config", `--listen ${text}: expected HOST:PORT such as 127.0.0.1:8000`);
  return { ...config, listen };
}

/** The first lines a newcomer reads: what can be served, what cannot, and why. */
function announce({ catalog, status }: System, logger: Logger): void {
  for (const { file, message } of catalog.problems)
    logger.error({ file, problem: message }, "this recipe cannot be used");
  for (const { file, notes } of catalog.recipes.filter((recipe) => (recipe.notes ?? []).length > 0))
    logger.info({ file, notes }, "this recipe was adapted");
  const [able, unable] = partition(status.models(), (model) => model.status !== "unavailable");
  if (able.length > 0) logger.info({ models: able.map(({ model }) => model) }, "can serve");
  for (const [why, models] of Map.groupBy(unable, ({ reason }) => reason ?? "unknown")) {
    logger.warn({ models: models.map(({ model }) => model), why }, "cannot serve");
  }
}

function partition<T>(items: readonly T[], belongs: (item: T) => boolean): [T[], T[]] {
  return [items.filter(belongs), items.filter((item) => !belongs(item))];
}

/** The first signal drains, a second one ends at once. */
async function untilStopped(system: System, logger: Logger): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  let stopping = false;
  const onSignal = (signal: NodeJS.Signals) => {
    // Nothing is waited for any more, and what still waits would keep the process alive.
    if (stopping) process.exit(EXIT.interrupted);
    stopping = true;
    logger.info({ signal }, "shutting down; send the signal again to end at once");
    system.stop().then(
      () => resolve(0),
      (error: unknown) => {
        logger.error({ err: error }, "shutting down failed");
        resolve(1);
      },
    );
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  const code = await promise;
  process.off("SIGTERM", onSignal);
  process.off("SIGINT", onSignal);
  return code;
}
