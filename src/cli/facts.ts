// One thing described: a name and its value a line, further values below the first.

type Fact = readonly [name: string, value: string | readonly string[] | undefined];

/** Names without a value are left out. */
export function facts(given: readonly Fact[]): string {
  const lines = given.flatMap(([name, value]) =>
    [value ?? []]
      .flat()
      .filter((text) => text !== "")
      .map((text, index) => ({ name: index === 0 ? name : "", text: text.replaceAll(/\s+/g, " ").trim() })),
  );
  const width = Math.max(0, ...lines.map(({ name }) => name.length));
  return lines.map(({ name, text }) => `${name.padEnd(width)}   ${text}`).join("\n");
}

/** As a shell would take it. */
export function commandLine(argv: readonly string[]): string {
  return argv
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`))
    .join(" ");
}
