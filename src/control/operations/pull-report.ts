// How a pull goes, as it is told to operators.
import type { PullProgress } from "../../runtime/driver.ts";

/** Progress, and at its end one `done`. */
export type PullReport =
  | {
      readonly kind: "progress";
      readonly image: string;
      readonly doneBytes: number;
      readonly totalBytes?: number;
      readonly layers: readonly {
        readonly id: string;
        readonly status: string;
        readonly doneBytes: number;
        readonly totalBytes?: number;
      }[];
    }
  | { readonly kind: "done"; readonly image: string };

export function toPullReport(
  image: string,
  { doneBytes, totalBytes, layers }: PullProgress,
): Extract<PullReport, { kind: "progress" }> {
  return {
    kind: "progress",
    image,
    doneBytes,
    ...(totalBytes === undefined ? {} : { totalBytes }),
    layers: layers.map(({ totalBytes: total, ...layer }) => ({
      ...layer,
      ...(total === undefined ? {} : { totalBytes: total }),
    })),
  };
}
