// Who may import whom, why, and for each rule a violation to plant: a rule that does not catch its own is broken.
import type { IForbiddenRuleType } from "dependency-cruiser";

export interface ArchRule {
  readonly rule: IForbiddenRuleType;
  /** Files that break the rule, by path. */
  readonly planted: Readonly<Record<string, string>>;
}

interface Layer {
  /** Start of the paths it holds, below src/. */
  readonly path: string;
  /** Starts of the paths of ours it may import; anything not listed is forbidden. */
  readonly allowed: readonly string[];
  readonly why: string;
  /** A file of its own that the planted violation replaces; a new one in the folder otherwise. */
  readonly file?: string;
}

const LAYERS: readonly Layer[] = [
  { path: "lib/", allowed: [], why: "lib holds nothing of ours, so that everybody may use it" },
  { path: "errors", allowed: [], why: "the catalogue of errors depends on nothing", file: "errors.ts" },
  { path: "telemetry/", allowed: ["lib/", "errors"], why: "telemetry is used by all and knows none of them" },
  {
    path: "sim/",
    allowed: ["lib/", "errors"],
    why: "the simulated engine runs from a bare image: it takes nothing of the gateway along",
  },
  { path: "catalog/", allowed: ["lib/", "errors"], why: "recipes are facts: they know neither fleet nor HTTP" },
  {
    path: "runtime/",
    allowed: ["catalog/launch-spec", "telemetry/", "lib/", "errors"],
    why: "drivers are dumb: they get a launch spec and tell the truth",
  },
  {
    path: "control/",
    allowed: ["runtime/driver", "catalog/", "telemetry/", "lib/", "errors"],
    why: "the control plane speaks to runtimes through the driver interface only, and never HTTP",
  },
  {
    path: "gateway/",
    allowed: ["catalog/", "telemetry/", "lib/", "errors"],
    why: "the data plane knows no container, fleet or configuration: what it needs is declared in gateway/pool",
  },
  {
    path: "admin/",
    allowed: ["telemetry/", "lib/", "errors"],
    why: "the admin API declares the view it needs, and gets it from the composition root",
  },
  {
    path: "workers/",
    allowed: ["gateway/", "control/", "catalog/", "telemetry/", "lib/", "errors"],
    why: "workers stand between the two planes, and are wired to them by the composition root; neither knows of them",
  },
  {
    path: "config",
    allowed: ["catalog/recipe", "catalog/image", "lib/", "errors"],
    why: "the configuration is read before anything else exists; it names the engines, runtimes and images of recipes",
    file: "config.ts",
  },
  {
    path: "cli/",
    allowed: ["config", "sim/main", "telemetry/", "lib/", "errors"],
    why: "the CLI talks HTTP to the gateway; only serve composes one, only the local doctor looks at the machine, and sim hands its arguments on",
  },
  { path: "main", allowed: ["cli/"], why: "main turns argv into an exit code, nothing else", file: "main.ts" },
];

const SERVE: Layer = {
  path: "cli/serve",
  allowed: ["cli/", "config", "compose", "telemetry/", "lib/", "errors"],
  why: "serve is the one command that composes a gateway; the parts are wired in compose alone",
  file: "cli/serve.ts",
};

const LOCAL_DOCTOR: Layer = {
  path: "cli/local-doctor",
  allowed: ["cli/", "config", "compose-doctor", "lib/", "errors"],
  why: "without a gateway the doctor looks itself, through what the composition root knows of the machine",
  file: "cli/local-doctor.ts",
};

interface Door {
  readonly world: string;
  /** Starts of the paths below src/ that may import it. */
  readonly open: readonly string[];
  readonly why: string;
}

const DOORS: readonly Door[] = [
  { world: "hono", open: ["gateway/", "admin/"], why: "HTTP is served by gateway and admin" },
  { world: "@hono/node-server", open: ["gateway/", "admin/"], why: "HTTP is served by gateway and admin" },
  {
    world: "undici",
    open: ["runtime/engine-http", "cli/client"],
    why: "outgoing HTTP has two doors beside gateway/upstream, each with its own Agent",
  },
  { world: "dockerode", open: ["runtime/docker/"], why: "only the docker driver speaks to the Docker Engine" },
  {
    world: "node:child_process",
    open: ["runtime/process/", "runtime/gpus/smi", "sim/"],
    why: "only the process driver starts programs, GPU discovery the vendors' tools, and the sim engine a child of its own",
  },
  { world: "node:timers", open: ["lib/"], why: "time comes in through lib/clock" },
  { world: "pino", open: ["telemetry/"], why: "the log is made in one place" },
  { world: "prom-client", open: ["telemetry/"], why: "metrics are declared in one place" },
  { world: "commander", open: ["cli/"], why: "argv is parsed in the CLI" },
];

function layerRule({ path, allowed, why, file }: Layer): ArchRule {
  const exempt = path === "cli/" ? { pathNot: "^src/cli/(serve|local-doctor)\\.ts$" } : {};
  const target = file?.startsWith("cli/") ? "../gateway/app.ts" : file === undefined ? "../compose.ts" : "./compose.ts";
  return {
    rule: {
      name: `layer ${path}`,
      comment: why,
      severity: "error",
      from: { path: `^src/${path}`, ...exempt },
      to: { path: "^src/", pathNot: [path, ...allowed].map((one) => `^src/${one}`) },
    },
    planted: {
      [`src/${file ?? `${path}planted.ts`}`]: `import type * as planted from "${target}";\nexport type Planted = typeof planted;\n`,
    },
  };
}

function doorRule({ world, open, why }: Door): ArchRule {
  const bare = world.replace("node:", "");
  return {
    rule: {
      name: `door ${world}`,
      comment: why,
      severity: "error",
      from: { path: "^src/", pathNot: open.map((one) => `^src/${one}`) },
      to: { path: [`^(node:)?${bare}(/|$)`, `node_modules/${bare}/`] },
    },
    planted: { [`src/catalog/planted-${bare.replaceAll(/\W/g, "-")}.ts`]: `import "${world}";\n` },
  };
}

const GENERAL: readonly ArchRule[] = [
  {
    rule: {
      name: "no cycles",
      comment: "a cycle has no order to read it in",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    planted: {
      "src/lib/planted-a.ts": 'import "./planted-b.ts";\n',
      "src/lib/planted-b.ts": 'import "./planted-a.ts";\n',
    },
  },
  {
    rule: {
      name: "no tests in src",
      comment: "what ships does not know its tests",
      severity: "error",
      from: { path: "^src/" },
      to: { path: "^test/" },
    },
    planted: { "test/planted.ts": "export {};\n", "src/lib/planted-test.ts": 'import "../../test/planted.ts";\n' },
  },
  {
    rule: {
      name: "resolvable",
      comment: "an import that leads nowhere",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
    planted: { "src/lib/planted-nowhere.ts": 'import "./nowhere.ts";\n' },
  },
];

export const ARCH_RULES: readonly ArchRule[] = [
  ...LAYERS.map(layerRule),
  layerRule(SERVE),
  layerRule(LOCAL_DOCTOR),
  ...DOORS.map(doorRule),
  ...GENERAL,
];
