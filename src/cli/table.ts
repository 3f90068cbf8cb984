// Plain columns as Docker prints them: upper-case heads, three spaces between, nothing after the last.

const GAP = "   ";
const characters = new Intl.Segmenter();

/** Lines without a newline at the end. Empty cells become "-", so that columns stay countable for awk. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [heads, ...rows.map((row) => heads.map((_, column) => cell(row[column] ?? "")))];
  const widths = heads.map((_, column) => Math.max(...lines.map((line) => width(line[column] ?? ""))));
  return lines.map((line) => format(line, widths)).join("\n");
}

function format(line: readonly string[], widths: readonly number[]): string {
  const cells = widths.map((wanted, column) => {
    const text = line[column] ?? "";
    return text + " ".repeat(Math.max(0, wanted - width(text)));
  });
  return cells.join(GAP).trimEnd();
}

function cell(text: string): string {
  const oneLine = text.replaceAll(/\s+/g, " ").trim();
  return oneLine === "" ? "-" : oneLine;
}

function width(text: string): number {
  // Telling characters apart costs; plain text, which is nearly all of it, needs none of that.
  if (/^[ -~]*$/.test(text)) return text.length;
  return [...characters.segment(text)].length;
}
