// The environment of a child: what it needs, and the marks by which a later gateway knows it for its own.
import { z } from "zod";
import { HOST_PLACEHOLDER, PORT_PLACEHOLDER, type LaunchSpec } from "../../catalog/launch-spec.ts";
import { AimError } from "../../errors.ts";
import type { Gpu } from "../driver.ts";

/** What a child of ours says about itself in its environment, where only its owner can read it and nobody can change it. */
export interface Marks {
  readonly labels: Readonly<Record<string, string>>;
  readonly address: URL;
}

type Environment = Readonly<Record<string, string>>;

const LABELS_VARIABLE = "AIM_ENGINE_LABELS";
const ADDRESS_VARIABLE = "AIM_ENGINE_ADDRESS";

/** All that a child gets of the gateway's own environment. */
const INHERITED = ["PATH", "HOME", "LANG", "TMPDIR", "TZ"];

/** Python programs that set their process title do it in the memory of their environment, and so would wipe our marks. */
const KEEP_ENVIRON = { SPT_NOENV: "1" };

const labelsSchema = z.record(z.string(), z.string());

/** The command line with host and port filled in. */
export function childArgv(spec: LaunchSpec, address: URL): readonly string[] {
  return spec.argv.map((argument) => fillIn(argument, address));
}

/** A little of the gateway's environment, then the spec's, then what must not be overridden. */
export function childEnv(
  spec: LaunchSpec,
  options: { readonly baseEnv: Environment; readonly gpus: readonly Gpu[]; readonly marks: Marks },
): Environment {
  const { baseEnv, gpus, marks } = options;
  const inherited = Object.entries(baseEnv).filter(([name]) => INHERITED.includes(name));
  const given = Object.entries(spec.env).map(([name, value]) => [name, fillIn(value, marks.address)]);
  return {
    ...KEEP_ENVIRON,
    ...Object.fromEntries(inherited),
    ...Object.fromEntries(given),
    ...visibleDevices(spec.gpus, gpus),
    [LABELS_VARIABLE]: JSON.stringify(marks.labels),
    [ADDRESS_VARIABLE]: marks.address.href,
  };
}

/** Undefined for a process that is not of ours, or whose marks are not to be understood. */
export function readMarks(environ: ReadonlyMap<string, string>): Marks | undefined {
  const labels = labelsSchema.safeParse(parseJson(environ.get(LABELS_VARIABLE)));
  const address = URL.parse(environ.get(ADDRESS_VARIABLE) ?? "");
  return labels.success && address !== null ? { labels: labels.data, address } : undefined;
}

/** Engines count their GPUs by vendor, in the order in which the configuration lists them. */
function visibleDevices(wanted: readonly string[], gpus: readonly Gpu[]): Environment {
  const unknown = wanted.find((id) => !gpus.some((gpu) => gpu.id === id));
  if (unknown !== undefined) {
    throw new AimError("runtime_failed", `GPU ${unknown} is not among the GPUs configured for the process runtime`);
  }
  const indices = (vendor: Gpu["vendor"]) => {
    const known = gpus.filter((gpu) => gpu.vendor === vendor).map((gpu) => gpu.id);
    return wanted.filter((id) => known.includes(id)).map((id) => known.indexOf(id));
  };
  const [amd, nvidia] = [indices("amd"), indices("nvidia")];
  return {
    ...(amd.length > 0 && { HIP_VISIBLE_DEVICES: amd.join(",") }),
    ...(nvidia.length > 0 && { CUDA_VISIBLE_DEVICES: nvidia.join(","), CUDA_DEVICE_ORDER: "PCI_BUS_ID" }),
  };
}

function fillIn(text: string, address: URL): string {
  return text.replaceAll(HOST_PLACEHOLDER, address.hostname).replaceAll(PORT_PLACEHOLDER, address.port);
}

function parseJson(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch {
    // Someone else's variable of that name: not JSON means not ours.
    return undefined;
  }
}
