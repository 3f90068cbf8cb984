// A port on which connections are neither accepted nor refused: what a dial to a frozen or unplugged machine looks like.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createConnection } from "node:net";
import { onTestFinished } from "vitest";
import { until } from "../support/until.ts";

/** Prints its port, and later how many bytes each connection that closed had brought. */
const PROGRAM = `
  const server = require("node:net").createServer((socket) => {
    socket.on("error", () => {}).on("close", () => console.log(socket.bytesRead)).resume();
  });
  server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => console.log(server.address().port));
`;
const FILLERS = 8;

export interface FrozenListener {
  readonly address: URL;
  /** Lets it go on and ends our own connections; resolves with the bytes that those which have ended brought. */
  thaw(): Promise<number>;
}

/** A listener that is stopped and whose queue of connections is full. Ends with the test. */
export async function startFrozenListener(): Promise<FrozenListener> {
  const child = spawn(process.execPath, ["-e", PROGRAM], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const printed = () => output.split("\n").slice(0, -1).map(Number);
  const [port] = await until(() => printed().length === 1 && printed());
  child.kill("SIGSTOP");
  const fillers = Array.from({ length: FILLERS }, () => createConnection(port ?? 0, "127.0.0.1").on("error", () => {}));
  onTestFinished(async () => {
    for (const filler of fillers) filler.destroy();
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  return {
    address: new URL(`http://127.0.0.1:${port}`),
    async thaw() {
      child.kill("SIGCONT");
      for (const filler of fillers) filler.destroy();
      const [, ...brought] = await until(() => printed().length > 1 && printed());
      return brought.reduce((total, bytes) => total + bytes, 0);
    },
  };
}
