// A GPU as drivers and tools show it, before anybody looked for its device node.
import type { Gpu } from "../driver.ts";

export interface FoundGpu extends Gpu {
  /** N of /dev/dri/renderDN */
  readonly renderMinor?: number;
  /** As CDI names it: "amd.com/gpu=0" */
  readonly cdiName?: string;
}
