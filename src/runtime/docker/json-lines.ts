// Reads a stream of JSON values, one per line, as Docker sends for pulls and events.
import { StringDecoder } from "node:string_decoder";
import { AimError } from "../../errors.ts";

/** Far above any line of Docker's; a longer one means that the stream is not what we think. */
const MAX_LINE_CHARS = 1 << 20;

/** Yields each value; throws `runtime_failed` at the first line that is not JSON, and whatever the stream fails with. */
export async function* readJsonLines(
  stream: AsyncIterable<Uint8Array>,
  task: string,
): AsyncGenerator<unknown, void, undefined> {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.write(chunk)).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > MAX_LINE_CHARS) throw garbled(task, rest);
    for (const line of lines) if (line.trim() !== "") yield parse(line, task);
  }
  rest += decoder.end();
  if (rest.trim() !== "") yield parse(rest, task);
}

function parse(line: string, task: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw garbled(task, line, error);
  }
}

function garbled(task: string, line: string, cause?: unknown): AimError {
  const start = line.slice(0, 80);
  return new AimError("runtime_failed", `Docker sent something unreadable when asked to ${task}: ${start}`, {
    cause,
  });
}
