// A port on which connections are neither accepted nor refused: what a dial to a frozen or unplugged machine looks like.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createConnection } from "node:net";
import { onTestFinished } from "vitest";

const PROGRAM = `
  const server = require("node:net").createServer();
  server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => console.log(server.address().port));
`;

/** A listener that is stopped and whose queue of connections is full. Ends with the test. */
export async function frozenAddress(): Promise<URL> {
  const child = spawn(process.execPath, ["-e", PROGRAM], { stdio: ["ignore", "pipe", "inherit"] });
  const [line]: unknown[] = await once(child.stdout, "data");
  const port = Number(String(line));
  child.kill("SIGSTOP");
  const fillers = Array.from({ length: 8 }, () => createConnection(port, "127.0.0.1").on("error", () => {}));
  onTestFinished(async () => {
    for (const filler of fillers) filler.destroy();
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  return new URL(`http://127.0.0.1:${port}`);
}
