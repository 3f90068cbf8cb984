// What the admin API is given.
import type { Clock } from "../lib/clock.ts";
import type { EventLog } from "../telemetry/events.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { ControlView } from "./view.ts";

export interface AdminDeps {
  readonly view: ControlView;
  readonly events: EventLog;
  readonly metrics: Metrics;
  /** Brings gauges up to date before they are read. */
  beforeMetrics?(): void;
  /** All metrics as Prometheus reads them, where there are more than those of `metrics`. */
  scrape?(): Promise<string>;
  readonly version: string;
  readonly logger: Logger;
  readonly clock?: Clock;
  /** Ends open streams, which have no end of their own and would hold up a shutdown. */
  readonly stopping?: AbortSignal;
}
