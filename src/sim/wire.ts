// vLLM's way of refusing a request: its error bodies, and the reading of JSON fields that leads to them.

/** A refusal as vLLM sends it; `code` in the body is the HTTP status, a number. */
export class WireError extends Error {
  readonly status: number;
  readonly type: string;
  readonly param: string | undefined;

  constructor(status: number, type: string, message: string, param?: string) {
    super(message);
    this.name = "WireError";
    this.status = status;
    this.type = type;
    this.param = param;
  }
}

export function badRequest(message: string, param?: string): WireError {
  return new WireError(400, "BadRequestError", message, param);
}

export function engineFailure(message: string): WireError {
  return new WireError(500, "InternalServerError", message);
}

/** The OpenAI-style body of a refusal. */
export function errorBody(error: WireError): { readonly error: object } {
  const { message, type, param, status } = error;
  return { error: { message, type, param: param ?? null, code: status } };
}

/** A JSON object whose fields are read one by one; what has the wrong type is a 400 that names the field. */
export class Fields {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
  }

  static parse(text: string): Fields {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw badRequest(`JSON decode error: ${error instanceof Error ? error.message : String(error)}`);
    }
    if (!isRecord(value)) throw badRequest("Input should be a valid dictionary");
    return new Fields(value);
  }

  /** The value as it is; null counts as absent. */
  get(name: string): unknown {
    return this.#values[name] ?? undefined;
  }

  text(name: string): string | undefined {
    const value = this.get(name);
    if (value === undefined || typeof value === "string") return value;
    throw badRequest(`${name}: Input should be a valid string`, name);
  }

  enabled(name: string): boolean {
    const value = this.get(name);
    if (value === undefined || typeof value === "boolean") return value ?? false;
    throw badRequest(`${name}: Input should be a valid boolean`, name);
  }

  integer(name: string, least: number): number | undefined {
    const value = this.get(name);
    if (value === undefined) return undefined;
    if (typeof value !== "number" || !Number.isInteger(value))
      throw badRequest(`${name}: Input should be a valid integer`, name);
    if (value < least) throw badRequest(`${name} must be at least ${least}, got ${value}.`, name);
    return value;
  }

  object(name: string): Fields | undefined {
    const value = this.get(name);
    if (value === undefined) return undefined;
    if (isRecord(value)) return new Fields(value);
    throw badRequest(`${name}: Input should be a valid dictionary`, name);
  }

  list(name: string): readonly unknown[] | undefined {
    const value = this.get(name);
    if (value === undefined || Array.isArray(value)) return value;
    throw badRequest(`${name}: Input should be a valid list`, name);
  }

  /** One string, or a list of them. */
  texts(name: string): readonly string[] {
    const value = this.get(name);
    if (value === undefined) return [];
    if (typeof value === "string") return [value];
    if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
    throw badRequest(`${name}: Input should be a valid string or list of strings`, name);
  }

  /** The list of objects that a request cannot do without. */
  required(name: string): readonly Fields[] {
    const items = this.list(name);
    if (items === undefined) throw badRequest(`${name}: Field required`, name);
    return items.map((item, index) => {
      if (isRecord(item)) return new Fields(item);
      throw badRequest(`${name}.${index}: Input should be a valid dictionary`, name);
    });
  }
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
