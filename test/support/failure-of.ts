// The AimError that some work ends with.
import { isAimError, type AimError } from "../../src/errors.ts";

/** Rejects when the work succeeds, or fails with anything else. */
export async function failureOf(work: Promise<unknown>): Promise<AimError> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (isAimError(error)) return error;
  throw new Error("it did not fail with an AimError", { cause: error });
}
