// Hides what must not be read by others in text that is kept: tokens and keys as engines and libraries print them.

const HIDDEN = "***";

/** What keys look like by themselves: Hugging Face, OpenAI and its kin, GitHub. */
const KEYS = /\b(hf_|api_org_|sk-|ghp_|github_pat_)[\w-]{8,}/g;
const BEARER = /\b(Bearer|Basic)\s+[\w~+/.=-]{8,}/gi;
/** A name that says so, and its value: `HF_TOKEN=…`, `'api_key': '…'`, `--api-key …`. */
const NAMED =
  /((?:token|api[-_]?key|password|passwd|secret)['"]?(?:\s{0,4}[=:]\s{0,4}|\s{1,4}(?=['"]))(?:\[?\s?['"])?)([^\s'",)\]}]{4,})/gi;
/** `--api-key VALUE` */
const FLAG = /(--[\w-]{0,40}(?:api-key|token|password|secret)[ =]['"]?)([^\s'"]+)/gi;
/** `https://user:password@host` */
const URL_LOGIN = /(:\/\/)[^\s/:@]{1,200}:[^\s/@]{1,200}@/g;

/** The text without its secrets. */
export function maskSecrets(text: string): string {
  return text
    .replaceAll(KEYS, `$1${HIDDEN}`)
    .replaceAll(BEARER, `$1 ${HIDDEN}`)
    .replaceAll(URL_LOGIN, `$1${HIDDEN}@`)
    .replaceAll(FLAG, `$1${HIDDEN}`)
    .replaceAll(NAMED, (whole, name: string, value: string) => (isHarmless(value) ? whole : `${name}${HIDDEN}`));
}

/** Words that stand where a secret would, and numbers: `max_token: 100`, `token=None`. */
function isHarmless(value: string): boolean {
  return /^(?:none|null|true|false|undefined|\*+|-?\d+(?:\.\d+)?)$/i.test(value);
}
