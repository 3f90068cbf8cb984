// A command line on virtual time: the test lets half seconds pass until it ends.
import type { ReplicaView } from "../../src/admin/view.ts";
import { run } from "../../src/cli/program.ts";
import { makeReplica, type ScriptedView } from "../admin/scripted-view.ts";
import { FakeClock } from "../support/clock.ts";
import { until } from "../support/until.ts";
import { fakeIo, type FakeIoOptions } from "./fake-io.ts";

const LOOK_MS = 500;

export function startCli(argv: readonly string[], options: FakeIoOptions) {
  const clock = new FakeClock();
  const fake = fakeIo({ clock, ...options });
  let ended = false;
  const exit = run(argv, fake.io).finally(() => {
    ended = true;
  });
  const pass = () => clock.advance(LOOK_MS);
  return {
    ...fake,
    clock,
    pass,
    /** Lets time pass until something was written. */
    async wrote(text: string) {
      await until(async () => {
        await pass();
        return `${fake.written.stdout}${fake.written.stderr}`.includes(text);
      });
    },
    /** Lets time pass until the command ends. */
    async end() {
      await until(async () => {
        await pass();
        return ended;
      });
      return { code: await exit, ...fake.written, timers: clock.pending };
    },
  };
}

/** What a look finds of a replica. */
export type Look = Partial<ReplicaView> | "absent";

/** Each look at the replicas shows the next of these (several where a list is given); the last one stays. */
export function scriptLooks(view: ScriptedView, ...looks: (Look | readonly Look[])[]): void {
  let look = 0;
  view.replicas = () => {
    const now = [looks[Math.min(look++, looks.length - 1)] ?? []].flat();
    view.replicaList = now.flatMap((one) => (one === "absent" ? [] : [makeReplica(one)]));
    return view.replicaList;
  };
}
