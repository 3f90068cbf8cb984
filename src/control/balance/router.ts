// Which replica each request goes to: one router per model, over the replicas that serve. A part of the fleet: synchronous, and
// on the hot path.
import type { BalanceName } from "../../catalog/recipe.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Replica, ReplicaState } from "../replica.ts";
import type { Backlog } from "./backlog.ts";
import { ModelRouter, type RoutedRequest } from "./model-router.ts";
import type { Assignment } from "./seat.ts";

/** What was given out of a model so far, in tokens of its prompts. */
export interface RoutedTokens {
  readonly model: string;
  readonly tokens: number;
  /** Those that should have been in the cache of the replica that was chosen. */
  readonly cachedTokens: number;
}

export class Router {
  readonly #clock: Pick<Clock, "now">;
  /** Of recipes that do not name one. */
  readonly #balance: BalanceName;
  readonly #models = new Map<string, ModelRouter>();

  constructor({ clock, balance }: { readonly clock: Pick<Clock, "now">; readonly balance: BalanceName }) {
    this.#clock = clock;
    this.#balance = balance;
  }

  /** A replica came to another state: one that is ready takes requests, one that drains finishes what it has. */
  moved(replica: Replica, from: ReplicaState): void {
    const { state, model, recipe } = replica;
    if (state === "ready") this.#of(model).join(replica, recipe?.balance ?? this.#balance);
    else if ((from === "ready" && state !== "draining") || from === "draining") this.#models.get(model)?.leave(replica);
  }

  /** Its engine said how many tokens its cache holds. */
  cacheHolds(replica: Replica, tokens: number): void {
    this.#models.get(replica.model)?.cacheHolds(replica, tokens);
  }

  hasRoom(model: string): boolean {
    return this.#models.get(model)?.hasRoom ?? false;
  }

  /** Gives the request to a replica; undefined where none has room. */
  assign(model: string, request: RoutedRequest): Assignment | undefined {
    return this.#models.get(model)?.assign(request);
  }

  /** What a replica that serves was sent and has not read; undefined for one that does not serve. */
  queueOf(replica: Replica): Pick<Backlog, "prompts" | "tokens"> | undefined {
    return this.#models.get(replica.model)?.queueOf(replica);
  }

  /** Of every model that was ever served. */
  routed(): readonly RoutedTokens[] {
    return [...this.#models].map(([model, { sent }]) => ({ model, ...sent }));
  }

  #of(model: string): ModelRouter {
    const known = this.#models.get(model);
    if (known !== undefined) return known;
    const router = new ModelRouter(model, this.#clock);
    this.#models.set(model, router);
    return router;
  }
}
