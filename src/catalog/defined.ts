// Optional fields: absent is absent, never a key that holds undefined.

export type Defined<T> = { -readonly [K in keyof T]?: Exclude<T[K], undefined> };

/** The object without the keys that hold undefined. */
export function defined<T extends object>(fields: T): Defined<T> {
  const rest: Partial<T> = { ...fields };
  for (const key in rest) if (rest[key] === undefined) delete rest[key];
  // Partial<T> still admits undefined values; the loop has just removed them.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return rest as Defined<T>;
}
