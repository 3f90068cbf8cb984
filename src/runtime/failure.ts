// Why an engine failed, from its last log lines and how it ended. The text changes between versions: what is not recognised
// is a crash, with its last lines to read.
import type { ReplicaExit } from "./driver.ts";
import { SYMPTOMS, type Failure } from "./symptoms.ts";
import { visibleText } from "./visible-text.ts";

const HOST_MEMORY: Failure = {
  code: "host_out_of_memory",
  advice:
    "it hit its memory limit, or the machine ran out of memory: raise resources.memory in its recipe, or run less beside it",
};

/** Why a replica failed, from its last log lines and how it ended. */
export function classifyFailure(lines: readonly string[], exit: ReplicaExit | undefined): Failure {
  // The kernel's word goes first: a process killed for memory has no chance to say so.
  if (exit?.outOfMemory === true) return HOST_MEMORY;
  const texts = lines.map(visibleText);
  const symptom = SYMPTOMS.find(({ pattern }) => texts.some((text) => pattern.test(text)));
  if (symptom !== undefined) return { code: symptom.code, advice: symptom.advice };
  if (exit?.code === 2)
    return { code: "bad_argument", advice: "exit code 2 is a usage error: check the recipe's arguments" };
  return { code: "crashed", advice: crashAdvice(exit) };
}

function crashAdvice(exit: ReplicaExit | undefined): string {
  if (exit?.code === 139 || exit?.signal === "SIGSEGV")
    return "segmentation fault: check that the image fits this GPU's architecture and driver";
  if (exit?.code === 137 || exit?.signal === "SIGKILL")
    return "it was killed from outside (SIGKILL): look for the out-of-memory killer or a person";
  if (exit?.code === 0) return "it ended by itself: check the recipe's command";
  return "read its last log lines";
}
