// Who holds which GPU, and which are free: derived from the replicas and from what is known of each GPU, never stored.
import type { Profile, Recipe, RuntimeName } from "../../catalog/recipe.ts";
import type { RuntimeOffer, Supply } from "../../catalog/select.ts";
import { isLeaving } from "../replica.ts";
import type { FleetSnapshot, ReplicaSnapshot } from "../snapshot.ts";
import { place, type Place } from "./placement.ts";
import { hallsOf, type Hall, type Row } from "./rows.ts";
import { isMeasuring, type Need, type Seat } from "./seats.ts";
import { isSuitable, memoryShareOf } from "./supply.ts";

/** What is to be placed. */
export interface Placement {
  readonly recipe: Recipe;
  readonly profile: Profile;
  readonly runtime: RuntimeName;
  /** On these GPUs and no others. */
  readonly on?: readonly string[];
  /** It exists, and sleeps on these GPUs. */
  readonly waking?: ReplicaSnapshot;
}

/** How the GPUs stand that would suit a placement. */
export interface Survey {
  readonly seats: readonly Seat[];
  readonly free: readonly Seat[];
  /** Those that will do without anybody being asked to go, and that no earlier demand waits for. */
  readonly coming: readonly Seat[];
  /** Those that somebody would have to leave. */
  readonly taken: readonly Seat[];
}

export class Ledger {
  readonly #snapshot: FleetSnapshot;
  readonly #now: number;
  /** Made when first asked for: many plans have nobody to place. */
  #made: ReadonlyMap<RuntimeName, Hall> | undefined;
  /** Nobody measures the memory of any GPU, or is going to by this plan. */
  #isStill: boolean;
  /** Replicas that this plan stops or puts to sleep: what they give back will come. */
  readonly #leaving = new Set<ReplicaSnapshot>();
  readonly #described = new Map<Row, string>();
  /** Many demands ask the same between two decisions. */
  readonly #surveys = new Map<Row, { share: number; memory: number; survey: Survey }[]>();
  #offers: ReadonlyMap<RuntimeName, RuntimeOffer> | undefined;

  constructor(snapshot: FleetSnapshot, now: number) {
    this.#snapshot = snapshot;
    this.#now = now;
    this.#isStill = !snapshot.replicas.some(isMeasuring);
  }

  /** Where to place it now; undefined when too few GPUs are free. */
  find(placement: Placement): Place | undefined {
    const need = this.needOf(placement);
    if (need.count === 0) return { gpus: [], why: "" };
    const [{ free } = NO_SEATS] = this.surveys(placement, need);
    if (need.waking !== undefined)
      return free.length < need.count ? undefined : { gpus: need.waking.gpus, why: "where it sleeps" };
    for (const seats of [free.filter((seat) => seat.isBest(need)), free.filter((seat) => !seat.hasSleeper), free]) {
      const found = place(
        seats.map(({ gpu }) => gpu),
        need.count,
      );
      if (found !== undefined) return { ...found, why: besides(found, seats) };
    }
    return undefined;
  }

  /** Of each kind of GPUs that suits and suffices, that with most free ones first: the GPUs of one replica have to be alike. */
  surveys(placement: Placement, need: Need): readonly Survey[] {
    return this.#suitable(placement, need).map((row) => this.#survey(row, placement, need));
  }

  /** Gives the GPUs to a start. */
  take(runtime: RuntimeName, gpus: readonly string[], share: number): void {
    this.#surveys.clear();
    this.#isStill = false;
    for (const gpu of gpus) this.#halls.get(runtime)?.seats.get(gpu)?.take(share);
  }

  /** Keeps what is free, and what comes back, for a placement that waits, so that smaller ones do not overtake it for ever. */
  reserve(placement: Placement): void {
    const need = this.needOf(placement);
    const surveys = this.surveys(placement, need);
    const isEnough = ({ free, coming }: Survey) => free.length + coming.length >= need.count;
    const { free, coming } = surveys.find(isEnough) ?? surveys[0] ?? NO_SEATS;
    this.#surveys.clear();
    for (const seat of [...free, ...coming].slice(0, need.count)) {
      if (need.share === 1) seat.isClaimed = true;
      else seat.taken += need.share;
    }
  }

  /** It goes, or goes to sleep, by this plan. */
  release(replica: ReplicaSnapshot): void {
    this.#surveys.clear();
    this.#leaving.add(replica);
    for (const seat of this.#seatsOf(replica)) seat.vacate();
  }

  /** It gives back what it has without being asked. One that drains without end is not waited for without end. */
  isLeaving(replica: ReplicaSnapshot): boolean {
    if (this.#leaving.has(replica)) return true;
    const { state, stuck, stateSince } = replica;
    if (stuck) return false;
    if (state === "draining") return this.#now - stateSince < this.#snapshot.policy.maxWaitMs;
    return isLeaving(state) || state === "dozing";
  }

  /** Until when one that drains is waited for; Infinity where it was sent away just now. */
  isWaitedForUntil(replica: ReplicaSnapshot): number {
    if (replica.state !== "draining" || this.#leaving.has(replica)) return Infinity;
    return replica.stateSince + this.#snapshot.policy.maxWaitMs;
  }

  /** Whether another replica, but for those, loads on one of its GPUs: nothing may be stopped or put to sleep beside it. */
  isBesideLoad(replica: ReplicaSnapshot, except: readonly ReplicaSnapshot[] = []): boolean {
    if (this.#isStill) return false;
    const isOut = (one: ReplicaSnapshot) => one === replica || except.includes(one) || this.#leaving.has(one);
    return this.#seatsOf(replica).some((seat) => seat.isMeasured(isOut));
  }

  /** "8 MI300X (4 held by first-1, 4 by second-1)" */
  describe(placement: Placement): string {
    const [row] = this.#suitable(placement, this.needOf(placement));
    if (row === undefined) return "0 GPUs";
    const known = this.#described.get(row);
    if (known !== undefined) return known;
    const counts = new Map<string, number>();
    for (const { holders } of row.seats) {
      for (const { name } of holders) counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    const names = [...counts].map(([name, count], index) => `${count} ${index === 0 ? "held by" : "by"} ${name}`);
    const product = row.seats[0]?.gpu.product ?? "GPUs";
    const text = `${row.seats.length} ${product}${names.length === 0 ? "" : ` (${names.join(", ")})`}`;
    this.#described.set(row, text);
    return text;
  }

  /** What every runtime has to offer for `select`: what is free is told as of the moment of asking. */
  get offers(): ReadonlyMap<RuntimeName, RuntimeOffer> {
    this.#offers ??= new Map(
      [...this.#snapshot.runtimes].map(([name, { unavailable, placement }]) => {
        const rows = () => this.#halls.get(name)?.rows ?? [];
        const offer: RuntimeOffer = {
          ...(unavailable === undefined ? {} : { unavailable }),
          knowsGpus: placement === "gateway",
          get gpus() {
            return rows().flatMap(({ seats }) => seats.map((seat) => ({ ...seat.gpu, free: seat.isFree })));
          },
          supply: (recipe) => supplyOf(recipe, rows()),
        };
        return [name, offer];
      }),
    );
    return this.#offers;
  }

  needOf({ profile, runtime, waking }: Placement): Need {
    const count = this.#snapshot.runtimes.get(runtime)?.placement === "gateway" ? profile.gpus : 0;
    return { count, share: profile.gpuFraction ?? 1, memory: memoryShareOf(profile), waking };
  }

  get #halls(): ReadonlyMap<RuntimeName, Hall> {
    return (this.#made ??= hallsOf(this.#snapshot));
  }

  #seatsOf({ runtime, gpus }: ReplicaSnapshot): readonly Seat[] {
    const seats = this.#halls.get(runtime)?.seats;
    return gpus.flatMap((gpu) => seats?.get(gpu) ?? []);
  }

  #suitable(placement: Placement, need: Need): readonly Row[] {
    const { recipe, runtime, on } = placement;
    const rows = (this.#halls.get(runtime)?.rows ?? []).filter(
      ({ kind, seats }) => among(seats, on).length >= Math.max(1, need.count) && isSuitable(recipe, kind),
    );
    if (rows.length < 2) return rows;
    const free = new Map(rows.map((row) => [row, among(row.seats, on).filter((seat) => seat.fits(need)).length]));
    return rows.sort((a, b) => (free.get(b) ?? 0) - (free.get(a) ?? 0));
  }

  #survey(row: Row, { on }: Placement, need: Need): Survey {
    if (on !== undefined || need.waking !== undefined) return this.#look(among(row.seats, on), need);
    const { share, memory } = need;
    const known = this.#surveys.get(row) ?? [];
    const same = known.find((one) => one.share === share && one.memory === memory);
    if (same !== undefined) return same.survey;
    const survey = this.#look(row.seats, need);
    this.#surveys.set(row, [...known, { share, memory, survey }]);
    return survey;
  }

  #look(seats: readonly Seat[], need: Need): Survey {
    const [free, coming, taken]: [Seat[], Seat[], Seat[]] = [[], [], []];
    const stays = (replica: ReplicaSnapshot) => !this.isLeaving(replica);
    for (const seat of seats) {
      if (seat.fits(need)) free.push(seat);
      else if (seat.isClaimed) continue;
      else if (seat.willFit(need, stays)) coming.push(seat);
      else taken.push(seat);
    }
    return { seats, free, coming, taken };
  }
}

const NO_SEATS: Survey = { seats: [], free: [], coming: [], taken: [] };

/** What every runtime has to offer for `select`, before anything is planned. */
export function offersOf(snapshot: FleetSnapshot): ReadonlyMap<RuntimeName, RuntimeOffer> {
  return new Ledger(snapshot, 0).offers;
}

/** Names those who are there already, awake or asleep. */
function besides({ gpus, why }: Place, seats: readonly Seat[]): string {
  const holders = seats.filter(({ gpu }) => gpus.includes(gpu.id)).flatMap((seat) => seat.holders);
  const names = new Set(holders.map(({ name, state }) => (state === "sleeping" ? `${name}, which sleeps` : name)));
  return names.size === 0 ? why : `${why}, beside ${[...names].join(" and ")}`;
}

function among(seats: readonly Seat[], on: readonly string[] | undefined): readonly Seat[] {
  return on === undefined ? seats : seats.filter(({ gpu }) => on.includes(gpu.id));
}

/** The suitable kind of which there is most; undefined when there is none. */
function supplyOf(recipe: Recipe, rows: readonly Row[]): Supply | undefined {
  let best: Supply | undefined;
  for (const { kind, seats } of rows) {
    const [first] = seats;
    if (first === undefined || !isSuitable(recipe, kind)) continue;
    let free = 0;
    for (const seat of seats) if (seat.isFree) free += 1;
    const total = seats.length;
    if (best === undefined || total > best.total || (total === best.total && free > best.free))
      best = { name: kind.name, total, free };
  }
  return best;
}
