// Parting a list in two.

/** Those for which it holds, and the others, each in their order. */
export function split<T>(items: readonly T[], belongs: (item: T) => boolean): [yes: T[], no: T[]] {
  return [items.filter(belongs), items.filter((item) => !belongs(item))];
}
