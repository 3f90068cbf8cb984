// Names of container images, read as Docker reads them: REGISTRY/REPOSITORY:TAG@DIGEST, all but the repository optional.

export interface ImageName {
  /** "ghcr.io", "registry.example:5000"; absent: Docker's own, or the one of config.yaml. */
  readonly registry?: string;
  /** "rocm/vllm" */
  readonly repository: string;
  readonly tag?: string;
  /** "sha256:…" */
  readonly digest?: string;
}

const DOCKER_HUB = "docker.io";
const OTHER_NAME_OF_HUB = "index.docker.io";

const HOST = String.raw`(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::\d{1,5})?`;
const STEP = String.raw`[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`;
const IS_HOST = new RegExp(`^${HOST}$`, "i");
const IS_PATH = new RegExp(`^${STEP}(?:/${STEP})*$`);
const IS_TAG = /^\w[\w.-]{0,127}$/;
const IS_DIGEST = /^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-f]{32,}$/;
const IS_ID = /^(?:sha256:)?[0-9a-f]{64}$/;

/** Undefined when the text is no image name; an id ("sha256:…") is none either. */
export function parseImage(text: string): ImageName | undefined {
  if (isImageId(text)) return undefined;
  const [named = "", digest, ...more] = text.split("@");
  // A colon before the last slash belongs to the registry: host:port/name, host:port/name:tag.
  const colon = named.indexOf(":", named.lastIndexOf("/") + 1);
  const path = colon < 0 ? named : named.slice(0, colon);
  const tag = colon < 0 ? undefined : named.slice(colon + 1);
  const slash = path.indexOf("/");
  const first = slash < 0 ? "" : path.slice(0, slash);
  const registry = isRegistryHost(first) ? first : undefined;
  const repository = registry === undefined ? path : path.slice(slash + 1);
  const isRight =
    more.length === 0 &&
    IS_PATH.test(repository) &&
    (registry === undefined || IS_HOST.test(registry)) &&
    (tag === undefined || IS_TAG.test(tag)) &&
    (digest === undefined || IS_DIGEST.test(digest));
  if (!isRight) return undefined;
  return {
    ...(registry === undefined ? {} : { registry }),
    repository,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

export function formatImage({ registry, repository, tag, digest }: ImageName): string {
  const name = registry === undefined ? repository : `${registry}/${repository}`;
  return `${name}${tag === undefined ? "" : `:${tag}`}${digest === undefined ? "" : `@${digest}`}`;
}

/** An image by its content ("sha256:…", or the bare 64 digits): it is on this machine, or nowhere. */
export function isImageId(text: string): boolean {
  return IS_ID.test(text);
}

/** "registry.example:5000", "registry.example/mirror" without a slash at its end; undefined when Docker would not take it for one. */
export function parseRegistry(text: string): string | undefined {
  const [host = "", ...path] = text.replace(/\/+$/, "").split("/");
  if (!isRegistryHost(host) || !IS_HOST.test(host)) return undefined;
  return path.length === 0 || IS_PATH.test(path.join("/")) ? [host, ...path].join("/") : undefined;
}

/** The image as it is fetched where the configuration names a registry for those that name none themselves. */
export function fromRegistry(image: string, registry: string | undefined): string {
  const name = parseImage(image);
  if (registry === undefined || name === undefined || name.registry !== undefined) return image;
  return `${registry}/${image}`;
}

/**
 * Every way to write an image's name in full or as people do, without tag and digest: for "ubuntu" that is
 * "docker.io/library/ubuntu", "library/ubuntu" and "ubuntu". Empty for an id.
 */
export function namesOf(image: string, registry: string | undefined): readonly string[] {
  const name = parseImage(image);
  if (name === undefined) return [];
  const { repository } = name;
  const own = name.registry ?? registry ?? DOCKER_HUB;
  const isHub = own === DOCKER_HUB || own === OTHER_NAME_OF_HUB;
  if (!isHub) return [`${own}/${repository}`, ...(name.registry === undefined ? [repository] : [])];
  const path = repository.includes("/") ? repository : `library/${repository}`;
  return [...new Set([`${DOCKER_HUB}/${path}`, path, repository])];
}

/** What tells a registry from the first part of a repository, in Docker's own words: a dot, a port, or "localhost". */
function isRegistryHost(part: string): boolean {
  return part === "localhost" || /[.:]/.test(part);
}
