// What a plan consists of: things to do and things to wait for, each with its reason.
import type { Profile, Recipe, RuntimeName } from "../../catalog/recipe.ts";
import type { AimError } from "../../errors.ts";
import type { Demand } from "../snapshot.ts";
import type { Hold, SleepReason, StartReason, StopCause } from "./why.ts";

export type Action =
  | {
      readonly kind: "start";
      readonly recipe: Recipe;
      readonly profile: Profile;
      readonly runtime: RuntimeName;
      readonly gpus: readonly string[];
      readonly why: StartReason;
      /** The demand it is for; absent when the recipe's minimum, or scaling out, asked for it. */
      readonly demand?: Demand;
      readonly reason: string;
      readonly reasons: readonly string[];
    }
  | {
      readonly kind: "stop";
      readonly replica: string;
      readonly cause: StopCause;
      /** The demand that gets the room. */
      readonly demand?: Demand;
      readonly reason: string;
    }
  | {
      readonly kind: "sleep";
      readonly replica: string;
      readonly level: 1 | 2;
      readonly why: SleepReason;
      /** The demand that gets the room. */
      readonly demand?: Demand;
      readonly reason: string;
    }
  | {
      readonly kind: "wake";
      readonly replica: string;
      readonly why: StartReason;
      readonly demand?: Demand;
      readonly reason: string;
    }
  /** A launch order that an existing replica fulfils. */
  | { readonly kind: "settle"; readonly demand: Demand; readonly replica: string; readonly reason: string }
  /** It cannot be had: whoever asked is told. */
  | { readonly kind: "refuse"; readonly demand: Demand; readonly error: AimError; readonly reason: string };

export interface Plan {
  readonly actions: readonly Action[];
  /** Demand that has to wait, by demand id, with what it waits for. */
  readonly holds: ReadonlyMap<string, Hold>;
  /** When to look again if nothing happens before; undefined: no need. */
  readonly wakeAt: number | undefined;
}
