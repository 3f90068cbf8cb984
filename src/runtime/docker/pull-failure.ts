// Why a pull failed, from the words of Docker and of the registry behind it. Pure: a table from words to a code and advice.

export type PullFailureCode =
  | "image_not_found"
  | "pull_unauthorized"
  | "registry_unreachable"
  | "pull_interrupted"
  | "pull_stalled"
  | "disk_full"
  | "wrong_architecture"
  | "pull_failed";

export interface PullFailure {
  readonly code: PullFailureCode;
  /** What an operator can do about it. */
  readonly advice: string;
}

interface Symptom extends PullFailure {
  readonly pattern: RegExp;
}

/** What a pull is given up for that makes no more progress; Docker itself would wait for ever. */
export const STALLED: PullFailure = {
  code: "pull_stalled",
  advice: "look at the network and the registry; docker.pullSilence in config.yaml is the limit",
};

/** The connection broke, whatever Docker has tried since. */
export const INTERRUPTED: PullFailure = {
  code: "pull_interrupted",
  advice: "what has arrived is kept, so try again; look for a proxy, or a registry, that cuts long transfers",
};

/** The first that matches wins: the cause stands before what Docker wraps around it. */
const SYMPTOMS: readonly Symptom[] = [
  {
    code: "disk_full",
    pattern: /no space left on device|disk quota exceeded|not enough space/i,
    advice: 'free space where Docker keeps its images ("docker system df"; "docker image prune" removes unused ones)',
  },
  {
    code: "wrong_architecture",
    pattern:
      /no matching manifest for|no match for platform|does not match the specified platform|cannot be used on this platform/i,
    advice: "the image was not built for this machine's architecture: name one that was",
  },
  {
    code: "pull_failed",
    pattern: /toomanyrequests|429 Too Many Requests|pull rate limit/i,
    advice: "the registry limits how much it hands out: wait, log in, or use a mirror (registry in config.yaml)",
  },
  {
    code: "pull_unauthorized",
    pattern:
      /unauthorized|no basic auth credentials|access denied|no pull access|\bdenied: |incorrect username or password|insufficient_scope|\b40[13] (?:Unauthorized|Forbidden)|parsing HTTP 40[13]/i,
    advice:
      'the registry gives it to nobody it does not know: check the image\'s name, and where it is private, fetch it on that machine with "docker login" and "docker pull"',
  },
  {
    code: "image_not_found",
    pattern: /manifest unknown|name unknown|not found|no such image|invalid reference format|invalid repository name/i,
    advice: "check the image's name and tag in the recipe",
  },
  {
    ...INTERRUPTED,
    pattern:
      /unexpected EOF|: EOF$|connection reset|broken pipe|closed network connection|stream error|verification failed/i,
  },
  {
    code: "registry_unreachable",
    pattern:
      /no such host|server misbehaving|name resolution|connection refused|no route to host|network is unreachable|i\/o timeout|TLS handshake|tls: |x509: |certificate|gave HTTP response to HTTPS client|Client\.Timeout|awaiting headers|deadline exceeded|proxyconnect/i,
    advice: "check that this machine can reach the registry, and trusts its certificate",
  },
];

/** What Docker said, as a code and what to do about it. */
export function classifyPull(said: string): PullFailure {
  const symptom = SYMPTOMS.find(({ pattern }) => pattern.test(said));
  if (symptom !== undefined) return { code: symptom.code, advice: symptom.advice };
  return { code: "pull_failed", advice: 'try "docker pull" by hand on that machine, and look at the log of dockerd' };
}
