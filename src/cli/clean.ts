// Keeps what others wrote (log lines, model names, error texts) from giving orders to the terminal.

/* oxlint-disable no-control-regex -- control characters are what this file is about */

/** Escape sequences with what they carry: a clipboard write (OSC 52) must not leave its payload behind as text. */
const SEQUENCES = new RegExp(
  [
    "(?:\u001b\\]|\u009d)[^\u0007\u001b\u009c\n]*(?:\u0007|\u001b\\\\|\u009c)?", // OSC
    "(?:\u001b[PX^_]|[\u0090\u0098\u009e\u009f])[^\u001b\u009c\n]*(?:\u001b\\\\|\u009c)?", // DCS, SOS, PM, APC
    "(?:\u001b\\[|\u009b)[0-?]*[ -/]*[@-~]", // CSI
    "\u001b[ -/]*[0-~]", // the short ones
  ].join("|"),
  "g",
);

/** All controls but newline and tab, and the marks that reorder text (bidi). */
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** Text without control bytes, escape sequences and bidi marks; newlines and tabs stay. */
export function clean(text: string): string {
  return text.replace(SEQUENCES, "").replace(CONTROLS, "");
}
