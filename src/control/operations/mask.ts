// Keeps secrets out of what is shown of a launch: values whose names say that they are some, and what looks like one anywhere.
import { maskSecrets } from "../../lib/secrets.ts";

const SECRET_VARIABLE = /TOKEN|KEY|SECRET|PASSW(OR)?D|PASSPHRASE|CREDENTIAL|AUTH|DSN/i;
/** By its end: "--max-num-batched-tokens" and "--key-file" are none. */
const SECRET_FLAG = /^--?[\w-]*(token|key|secret|passw(?:or)?d|passphrase|credentials?|auth)$/i;
const MASK = "***";

export function maskEnv(env: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const masked = Object.entries(env).map(([name, value]) => [
    name,
    SECRET_VARIABLE.test(name) ? MASK : maskSecrets(value),
  ]);
  return Object.fromEntries(masked);
}

/** Of a command line, be a value joined to its flag by "=" or the next word. */
export function maskArgv(argv: readonly string[]): readonly string[] {
  return argv.map((word, index) => {
    const [flag, value] = splitOnce(word);
    if (value !== undefined && SECRET_FLAG.test(flag)) return `${flag}=${MASK}`;
    return SECRET_FLAG.test(argv[index - 1] ?? "") ? MASK : maskSecrets(word);
  });
}

function splitOnce(word: string): readonly [string, string?] {
  const at = word.indexOf("=");
  return at < 0 ? [word] : [word.slice(0, at), word.slice(at + 1)];
}
