// Bugs made by hand, to see that the simulation bites: each replaces one text in one file of the source.

export interface Bug {
  readonly name: string;
  /** What is wrong with it. */
  readonly what: string;
  readonly file: string;
  /** Stands there exactly once. */
  readonly text: string;
  readonly instead: string;
}

export const BUGS: readonly Bug[] = [
  {
    name: "ttl-race",
    what: "a moment passes between the look whether a replica is idle and its stop",
    file: "src/control/controller.ts",
    text: "if (replica !== undefined) fleet.stop(replica, action.cause, action.reason);",
    instead: `if (replica !== undefined)
          this.#deps.clock.setTimer(20, () => fleet.stop(replica, action.cause, action.reason, { force: true }));`,
  },
  {
    name: "double-reserve",
    what: "two starts of one plan get the same GPU",
    file: "src/control/planner/seats.ts",
    text: "    this.taken += share;\n    this.isGiven = true;\n    this.#isRestless = true;",
    instead: "    this.isGiven = share > 0;",
  },
  {
    name: "lost-release",
    what: "a slot on a replica that is being drained is never given back",
    file: "src/control/fleet/slots.ts",
    text: "replica.leases -= 1;",
    instead: 'if (replica.state !== "draining") replica.leases -= 1;',
  },
  {
    name: "unread-for-ever",
    what: "the prompt of a request that breaks is taken for one that its replica has yet to read",
    file: "src/control/fleet/lease.ts",
    text: "    this.#assignment.ended();\n",
    instead: "",
  },
  {
    name: "grant-to-gone-client",
    what: "who has left is still in the queue, and gets a slot",
    file: "src/control/fleet/waiters.ts",
    text: `const waiter: Waiter<T> = { ...applicant, model, onAbort, resolve, reject };
    signal.addEventListener("abort", onAbort, { once: true });`,
    instead: `const waiter: Waiter<T> = { ...applicant, signal: AbortSignal.any([]), model, onAbort, resolve, reject };
    signal.addEventListener("abort", () => reject(reasonOf(signal)), { once: true });`,
  },
  {
    name: "evict-busy",
    what: "a replica that serves is stopped instead of drained",
    file: "src/control/fleet.ts",
    text: "const busy = replica.inFlight > 0 && !options.force;",
    instead: "const busy = replica.inFlight > 100 && !options.force;",
  },
  {
    name: "resurrect-after-stop",
    what: "a start that was stopped goes on, and its container stays",
    file: "src/control/controller.ts",
    text: 'task.abort.abort(new AimError("replica_stopped", replica.reason));',
    instead: "this.#tasks.delete(replica);",
  },
  {
    name: "forget-leftover",
    what: "what is left of an earlier replica is never removed",
    file: "src/control/reconciler.ts",
    text: ".filter(({ createdAt }) => createdAt === undefined || now - createdAt >= LEFTOVER_AGE_MS)",
    instead: ".filter(({ createdAt }) => createdAt === undefined)",
  },
  {
    name: "sleeper-routed",
    what: "an engine that is falling asleep gets requests",
    file: "src/control/replica.ts",
    text: 'return this.#state === "ready" && this.responsive;',
    instead: 'return (this.#state === "ready" || this.#state === "dozing") && this.responsive;',
  },
  {
    name: "residual-ignored",
    what: "what sleepers keep of a GPU's memory is given out",
    file: "src/control/planner/seats.ts",
    text: "return awake === 0 && (residual === 0 || residual + memory <= 1 + SLACK);",
    instead: "return awake === 0 && residual + memory <= 2;",
  },
  {
    name: "wake-beside-awake",
    what: "a sleeper is woken although another one has its GPUs",
    file: "src/control/planner.ts",
    text: "if (draft.ledger.find(bed) !== undefined) {",
    instead: "if (bed !== undefined) {",
  },
  {
    name: "pause-ignored",
    what: "a recipe whose start has failed is started again at once",
    file: "src/control/fleet/failures.ts",
    text: "filter(([, failure]) => failure.until > now)",
    instead: "filter(([, failure]) => failure.until > now + 3_600_000)",
  },
  {
    name: "pin-ignored",
    what: "a pinned replica makes room",
    file: "src/control/planner/draft.ts",
    text: "if (replica.pinned) return true;",
    instead: "",
  },
  {
    name: "old-reading-believed",
    what: "a reading of a GPU's memory that was asked for before its replica ended says that it is free",
    file: "src/control/fleet/gpus.ts",
    text: "if (released !== undefined && askedAt <= released.at) return undefined;",
    instead: "",
  },
  {
    name: "dead-adopted",
    what: "a list that was asked for before a replica was removed brings it back",
    file: "src/control/compare.ts",
    text: ".filter((one) => !comparison.isBuried(one.ref.id, askedAt))",
    instead: "",
  },
  {
    name: "drain-without-end",
    what: "a replica that has finished what it had is not stopped",
    file: "src/control/controller.ts",
    text: 'if (replica.state === "draining" && replica.inFlight === 0) {',
    instead: 'if (replica.state === "draining" && replica.inFlight < 0) {',
  },
  {
    name: "limit-ignored",
    what: "more replicas load at a time than may",
    file: "src/control/planner/draft.ts",
    text: "return this.census.loading >= this.snapshot.policy.maxStarts;",
    instead: "return this.census.loading > this.snapshot.policy.maxStarts;",
  },
  {
    name: "timer-forgotten",
    what: "a gateway that has stopped leaves its timer behind",
    file: "src/control/controller.ts",
    text: "    this.#stopped = true;\n    this.#timer?.cancel();",
    instead: "    this.#stopped = true;",
  },
  {
    name: "silent-engine-kept",
    what: "an engine that takes requests and never answers is believed",
    file: "src/control/watchdog.ts",
    text: "if (silentMs < this.#deps.limitMs) return;",
    instead: "if (silentMs < this.#deps.limitMs * 100) return;",
  },
];
