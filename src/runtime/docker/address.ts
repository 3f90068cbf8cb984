// Where the Docker Engine listens: the path of its socket, or tcp://HOST:PORT of a proxy in front of it.
import { AimError } from "../../errors.ts";

export type DockerAddress =
  | { readonly socketPath: string; readonly host: undefined }
  | { readonly host: string; readonly port: number };

/** "/var/run/docker.sock", "unix:///var/run/docker.sock" or "tcp://socket-proxy:2375". Throws `invalid_config` for what is neither. */
export function parseDockerAddress(text: string): DockerAddress {
  const path = /^(?:unix:\/\/)?(\/.+)$/.exec(text)?.[1];
  // An explicit `host: undefined` keeps DOCKER_HOST of the environment from overruling the socket.
  if (path !== undefined) return { socketPath: path, host: undefined };
  const [, host, digits] = /^tcp:\/\/(\[[0-9a-f:]+\]|[\w.-]+):(\d{1,5})\/?$/i.exec(text) ?? [];
  const port = Number(digits);
  if (host === undefined || port < 1 || port > 65_535)
    throw new AimError(
      "invalid_config",
      `docker.socket is "${text}"; expected the path of a socket such as /var/run/docker.sock, or tcp://HOST:PORT`,
    );
  return { host: host.replaceAll(/[[\]]/g, ""), port };
}
