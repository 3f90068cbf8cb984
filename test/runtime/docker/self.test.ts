import { describe, expect, it } from "vitest";
import { possibleIds } from "../../../src/runtime/docker/self.ts";

const ID = "0123456789ab".padEnd(64, "c");
const OTHER = "fedcba987654".padEnd(64, "d");
const NOWHERE = { mountinfo: "", cgroup: "", hostname: "web" };

describe("possibleIds", () => {
  it.each([
    ["on the host", { ...NOWHERE, cgroup: "0::/user.slice/user-0.slice/session-1.scope\n" }, []],
    [
      "by the files that Docker mounts",
      {
        ...NOWHERE,
        mountinfo: `712 700 8:1 /var/lib/docker/containers/${ID}/resolv.conf /etc/resolv.conf rw - ext4 /dev/sda1 rw\n713 700 8:1 /var/lib/docker/containers/${ID}/hostname /etc/hostname rw - ext4 /dev/sda1 rw\n`,
      },
      [ID],
    ],
    [
      "by its cgroup, version 1",
      { ...NOWHERE, cgroup: `12:memory:/docker/${ID}\n1:name=systemd:/docker/${ID}\n` },
      [ID],
    ],
    ["by its cgroup under systemd", { ...NOWHERE, cgroup: `0::/system.slice/docker-${ID}.scope\n` }, [ID]],
    ["by its host name", { ...NOWHERE, hostname: "0123456789ab" }, ["0123456789ab"]],
    ["not by a host name that somebody chose", { ...NOWHERE, hostname: "0123456789abc" }, []],
    [
      "by all of them, mounts first",
      {
        mountinfo: `1 2 8:1 /docker/containers/${ID}/hosts /etc/hosts rw - ext4 /dev/sda1 rw\n`,
        cgroup: `0::/docker/${OTHER}\n`,
        hostname: "aaaaaaaaaaaa",
      },
      [ID, OTHER, "aaaaaaaaaaaa"],
    ],
    [
      "not by another container's folder that is mounted",
      { ...NOWHERE, mountinfo: `1 2 8:1 /var/lib/docker/containers/${ID}/logs /logs rw - ext4 /dev/sda1 rw\n` },
      [],
    ],
  ])("finds itself %s", (_, traces, ids) => {
    expect(possibleIds(traces)).toEqual(ids);
  });
});
