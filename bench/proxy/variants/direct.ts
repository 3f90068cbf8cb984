// No proxy at all: what the backend and the load generator can do by themselves, and what latency is added to.
import { startMock, type Variant } from "../variant.ts";

export const direct: Variant = {
  name: "direct",
  about: "no proxy: the backend itself",
  whyMissing: () => undefined,
  start: startMock,
};
