// What a recipe may ask of its container at all, whatever the policy.
import { describe, expect, it } from "vitest";
import { problemsOf } from "./read.ts";

const minimal = "model: acme/tiny\nengine: vllm\nprofiles:\n  1_gpu: {}\n";

describe("what no policy allows is refused", () => {
  it.each([
    [
      "an image for the engine that is a process of itself",
      "model: m\nengine: sim\nimage: a:b\nprofiles: { 0_gpu: {} }",
      'the engine "sim" runs as a local process, which starts programs, not images',
    ],
    ...["pull: never", "mounts: [a1:/b]", "capabilities: [SYS_PTRACE]", "network: host"].map((line) => [
      `${line} for a process`,
      `${minimal}runtime: process\n${line}`,
      `recipes/test.yaml:6:1: ${line.split(":")[0]}: the process runtime has no containers`,
    ]),
    ["an image in capitals", `${minimal}image: Acme/Server`, "in lower case"],
    ["an image with half a digest", `${minimal}image: a@sha256:abc`, "expected an image"],
    ["a policy of pulling that there is not", `${minimal}pull: sometimes`, "expected one of missing, always, never"],
    ["no memory on a GPU", `${minimal}gpuMemory: 0g`, "expected a size"],
    ["a mount of a relative path", `${minimal}mounts: [./a:/b]`, "expected a mount such as"],
    ["a mount onto a relative path", `${minimal}mounts: [/a:b]`, "expected a mount such as"],
    ["a mount with options", `${minimal}mounts: ["/a:/b:ro,z"]`, "expected a mount such as"],
    ["a mount as a map", `${minimal}mounts: { /a: /b }`, "expected a list of mounts"],
    ["a climbing source", `${minimal}mounts: [/srv/models/../../etc:/b]`, "could lead anywhere"],
    ["a climbing target", `${minimal}mounts: [/srv/models:/b/../proc]`, "could lead anywhere"],
    ...["/", "/root/.cache", "/root//.cache/", "/dev", "/dev/shm", "/proc", "/proc/self", "/sys/"].map((target) => [
      `a mount onto ${target}`,
      `${minimal}mounts: [/srv/models:${target}]`,
      "nothing can be mounted at",
    ]),
    ...["/var/run/docker.sock", "/run/docker.sock", "/run/./docker.sock"].map((source) => [
      `a mount of ${source}`,
      `${minimal}mounts: [${source}:/b]`,
      "Docker's socket is never given to a replica",
    ]),
    ...["/", "/var", "/var/run/", "/run"].map((source) => [
      `a mount of ${source}, where Docker's socket is`,
      `${minimal}mounts: [${source}:/b]`,
      "holds Docker's socket, which is never given to a replica",
    ]),
    ["two mounts on one target", `${minimal}mounts: [vol1:/b, vol2:/b/]`, "mounts.1: /b is taken by vol1 already"],
    ["all capabilities", `${minimal}capabilities: [ALL]`, "each by its name"],
    [
      "a capability in small letters",
      `${minimal}capabilities: [sys_ptrace]`,
      'expected a capability such as "SYS_PTRACE"',
    ],
    ["a network of another name", `${minimal}network: bridge`, "expected one of own, host"],
  ])("%s", (_, text, expected) => {
    const problems = problemsOf(text ?? "");
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(expected);
  });
});
