// What the doctor finds on this machine when no gateway can be asked.
import { loadConfig, type Config } from "../config.ts";
import type { CheckAnswer } from "./answers.ts";

/** Goes by that configuration, or the one a gateway started here would have. */
export async function examineHere(given: Config | undefined, signal: AbortSignal): Promise<readonly CheckAnswer[]> {
  const config = given ?? (await loadConfig(undefined));
  // Imported here so that every other command starts without Docker.
  const { examineMachine } = await import("../compose-doctor.ts");
  return examineMachine(config, signal);
}
