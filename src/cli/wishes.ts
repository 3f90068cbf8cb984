// What can be wished of a launch, as launch and explain take it and as the admin API reads it.

export interface Wishes {
  readonly precision?: string;
  readonly engine?: string;
  readonly recipe?: string;
}

export interface LaunchWishes extends Wishes {
  readonly keepAlive?: string;
  readonly replicas?: number;
  /** GPUs by number or PCI address. */
  readonly gpus?: readonly string[];
  readonly name?: string;
  readonly pin?: boolean;
}

/** What is launched, and how. */
export interface Wanted<Wish extends Wishes> {
  readonly model: string;
  /** How many. */
  readonly gpus: number | undefined;
  readonly wishes: Wish;
}

/** The query of `GET /api/explain`. */
export function explainQuery({ model, gpus, wishes }: Wanted<Wishes>): string {
  const { precision, engine, recipe } = wishes;
  const query = new URLSearchParams({ model });
  for (const [key, value] of Object.entries({ gpus, precision, engine, recipe }))
    if (value !== undefined) query.set(key, String(value));
  return query.toString();
}

/** The body of `POST /api/replicas`; what is undefined is not sent. */
export function launchBody({ model, gpus, wishes }: Wanted<LaunchWishes>, flags: readonly string[]): object {
  const { precision, engine, recipe, keepAlive, replicas, gpus: on, name, pin: pinned } = wishes;
  const added = flags.length === 0 ? undefined : flags;
  return { model, gpus, precision, engine, recipe, keepAlive, replicas, on, name, pinned, flags: added };
}
