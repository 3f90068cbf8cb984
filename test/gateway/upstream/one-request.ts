// A program that asks once and ends when nothing keeps it: `node one-request.ts URL [fault]`.
import { ask, createUpstream } from "./recorder.ts";

const [, , address = "", fault] = process.argv;
const onEnd = () => {
  if (fault !== undefined) throw new Error(fault);
  process.stdout.write("answered");
};
ask(createUpstream({ idleMs: 600_000 }), new URL(address), { within: { onEnd } });
