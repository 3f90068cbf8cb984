// One gateway per installation and machine: two would adopt, unload and stop each other's replicas. The lock is a listening
// socket in Linux's abstract namespace: it has no file that could be left behind, and ends with its process however that ends.
import { createConnection, createServer, type Server } from "node:net";
import { once } from "node:events";
import { AimError } from "../errors.ts";

export interface InstallationLock {
  release(): Promise<void>;
}

/** Throws `conflict`, naming the process that holds it. Where there are no abstract sockets, nothing is locked. */
export async function lockInstallation(installation: string): Promise<InstallationLock> {
  if (process.platform !== "linux") return { release: async () => {} };
  const path = `\0aim-engine/${installation}`;
  const server = createServer((socket) => socket.on("error", () => socket.destroy()).end(String(process.pid)));
  server.listen({ path });
  try {
    await once(server, "listening");
  } catch {
    // Its message would add nothing but the socket's name, which begins with a zero byte.
    throw new AimError("conflict", heldBy(installation, await readHolder(path)));
  }
  // A waiting socket is no reason to go on living.
  server.unref();
  return { release: () => close(server) };
}

function heldBy(installation: string, holder: string): string {
  const who = holder === "" ? "another process" : `process ${holder}`;
  return `installation "${installation}" is in use by another gateway on this machine (${who}); stop that one, or give this one a name of its own: "installation:" in its configuration`;
}

/** Its process id; empty when it does not say. */
async function readHolder(path: string): Promise<string> {
  const socket = createConnection({ path });
  let text = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  // Whatever goes wrong here, the lock is held; only its holder stays unknown.
  await once(socket, "close").catch(() => undefined);
  return /^\d+$/.test(text) ? text : "";
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
