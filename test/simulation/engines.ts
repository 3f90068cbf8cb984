// What engines of a simulated world say about themselves, beside being loaded: how much they have to do, and that they generate.
import type { ControlPlaneDeps } from "../../src/control/plane.ts";
import type { FakeWorld } from "../support/fake-world.ts";

export function enginesOf(world: () => FakeWorld): Partial<ControlPlaneDeps["engines"]> {
  return {
    async loadOf(address) {
      const container = world().at(address);
      if (container === undefined || !world().isLoaded(address)) return undefined;
      return { requests: container.requests.size, tokens: container.isDeaf ? 0 : world().clock.now() };
    },
    async generates(address) {
      const container = world().at(address);
      if (container === undefined || !world().isLoaded(address)) return false;
      world().sleep.noteRequest(container);
      return !container.isDeaf;
    },
  };
}
