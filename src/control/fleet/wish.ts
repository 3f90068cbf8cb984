// What an operator can ask for when launching.

/** What a launch asks for beyond recipe and profile; nothing of it is silently replaced. */
export interface Wish {
  /** Idle time before unload; absent: the recipe's or the config's. */
  readonly keepAliveMs?: number;
  /** How many such replicas there should be at least, whatever requests may start; absent: 1, within what requests may. */
  readonly atLeast?: number;
  /** GPU ids: these and no others. */
  readonly on?: readonly string[];
  /** What the replica is to be called. */
  readonly name?: string;
  /** Engine flags beside those of the profile, which they override. */
  readonly flags?: readonly string[];
  /** Neither evicted nor unloaded for being idle. */
  readonly pinned?: true;
}
