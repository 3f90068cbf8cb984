import { createServer, type RequestListener, type Server } from "node:http";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AimError, ERROR_KINDS } from "../../src/errors.ts";
import { EXIT, exitCodeOf } from "../../src/cli/exit-codes.ts";
import { startAdminServer, type AdminServer } from "../admin/admin-server.ts";
import { ScriptedView } from "../admin/scripted-view.ts";
import { runCli } from "./fake-io.ts";

describe("the command line", () => {
  it("shows what can be said, with and without being asked", async () => {
    const asked = await runCli(["--help"]);
    expect(asked).toMatchObject({ code: 0, stderr: "" });
    const verbs = "serve launch explain ps show stats stop restart rm logs pull models recipes gpus events doctor sim";
    for (const verb of verbs.split(" ")) expect(asked.stdout).toMatch(new RegExp(`^ {2}${verb}\\b`, "m"));
    expect(asked.stdout).toContain("124  timed out");
    expect(await runCli([])).toEqual(asked);
  });

  it.each([
    [["launhc", "demo"], "(Did you mean launch?)"],
    [["ps", "--jsno"], "(Did you mean --json?)"],
    [["launch"], "missing required argument 'model'"],
    [["launch", "demo", "many"], "Expected a whole number."],
    [["launch", "demo", "--keep-alive", "90"], "Expected a duration"],
    [["launch", "demo", "--timeout", "soon"], "Expected a duration"],
    [["logs", "demo", "--tail", "-1"], "Expected a whole number."],
    [["launch", "demo", "--timeout", "-5"], "Expected a duration"],
    [["launch", "demo", "--gpus", "0,,1"], "Expected GPUs such as"],
    [["launch", "demo", "--replicas", "two"], "Expected a whole number, 1 or more."],
    [["launch", "demo", "--replicas", "0"], "Expected a whole number, 1 or more."],
    [["launch", "demo", "--wait", "--detach"], "cannot be used with option"],
    [["explain", "demo", "--name", "x"], "unknown option '--name'"],
    [["stop"], "name what to stop, or say --all"],
    [["stop", "demo", "--all"], "name what to stop, or say --all"],
    [["restart"], "missing required argument 'names'"],
    [["rm"], "missing required argument 'names'"],
    [["pull"], "missing required argument 'name'"],
    [["gpus", "release"], "missing required argument 'ids'"],
    [["gpus", "relaese", "0"], "too many arguments"],
    [["ps", "demo"], "too many arguments"],
  ])("refuses %j with a remedy and exit code 2", async (argv, message) => {
    const { code, stdout, stderr } = await runCli(argv);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(message);
    expect(stderr).toContain("--help");
  });

  it.each([
    ["launhc demo", "aim-engine --help"],
    ["launch", "aim-engine launch --help"],
    ["stop", "aim-engine stop --help"],
    ["gpus release", "aim-engine gpus release --help"],
  ])("points from %j to the help of that command", async (argv, help) => {
    expect((await runCli(argv.split(" "))).stderr).toContain(`See "${help}".\n`);
  });
});

describe("without a gateway", () => {
  const url = "http://127.0.0.1:1";

  it.each([
    ["ps"],
    ["stop demo"],
    ["stop --all"],
    ["launch demo"],
    ["explain demo"],
    ["rm demo"],
    ["pull demo"],
    ["show demo"],
    ["stats"],
    ["logs demo"],
    ["events -f"],
    ["models"],
    ["gpus --json"],
    ["gpus release 0"],
  ])("%s exits 5 and says how to start one", async (argv) => {
    const { code, stdout, stderr } = await runCli(argv.split(" "), { url });
    expect({ code, stdout }).toEqual({ code: 5, stdout: "" });
    expect(stderr).toBe(
      "aim-engine: cannot reach the gateway at http://127.0.0.1:1 (connection refused)\n" +
        'Is it running? Start it with "aim-engine serve", or set AIM_ENGINE_URL if it listens elsewhere.\n',
    );
  });

  it("does not ask the others when several are to be stopped", async () => {
    const { stderr } = await runCli(["stop", "a", "b", "c"], { url });
    expect(stderr.match(/cannot reach/g)).toHaveLength(1);
  });

  it("says which URL is none", async () => {
    const { code, stderr } = await runCli(["ps"], { url: "localhost:8000" });
    expect(code).toBe(2);
    expect(stderr).toContain('AIM_ENGINE_URL is "localhost:8000", which is no http or https URL');
  });

  it("says that a key is none, without telling it", async () => {
    const { code, stderr } = await runCli(["ps"], { url, env: { AIM_ENGINE_API_KEY: "secret-key\r" } });
    expect(code).toBe(2);
    expect(stderr).toContain("AIM_ENGINE_API_KEY holds a space, a line break or another character that no key has");
    expect(stderr).not.toContain("secret-key");
  });

  it.each([
    ["show ..", ".."],
    ["stop .", "."],
    ["rm ..", ".."],
    ["restart ..", ".."],
    ["gpus release ..", ".."],
  ])("takes no way through folders for a name: %s", async (argv, name) => {
    const { code, stderr } = await runCli(argv.split(" "), { url });
    expect(code).toBe(3);
    expect(stderr).toContain(`nothing is called "${name}"`);
  });
});

describe("with a key", () => {
  let server: AdminServer;

  beforeEach(async () => {
    server = await startAdminServer(new ScriptedView(), { apiKey: "secret" });
  });

  afterEach(() => server.close());

  it("sends it, and says where it is missing", async () => {
    expect(await runCli(["ps", "-q"], { url: server.url, env: { AIM_ENGINE_API_KEY: "secret" } })).toMatchObject({
      code: 0,
    });
    const { code, stderr } = await runCli(["ps"], { url: server.url });
    expect(code).toBe(1);
    expect(stderr).toContain("Set AIM_ENGINE_API_KEY");
  });
});

describe("with something else at the URL", () => {
  let server: Server | undefined;

  afterEach(async () => {
    server?.closeAllConnections();
    await new Promise((resolve) => server?.close(resolve));
  });

  async function listen(listener: RequestListener): Promise<string> {
    const started = createServer(listener);
    server = started;
    await new Promise<void>((resolve) => started.listen(0, "127.0.0.1", resolve));
    const address = started.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    return `http://127.0.0.1:${address.port}`;
  }

  it.each([
    ["a page", 200, "<html>"],
    ["a page that is not found", 404, "<html>"],
    ["an error of another kind", 500, '{"detail":"Not Found"}'],
    ["a redirect", 302, "{}"],
  ])("takes %s for no gateway", async (_, status, body) => {
    const url = await listen((_, response) => response.writeHead(status, { location: "/" }).end(body));
    const { code, stderr } = await runCli(["ps"], { url });
    expect(code).toBe(5);
    expect(stderr).toContain(`what answers at ${url} is no AIM Engine gateway (status ${status}`);
    expect(stderr).toContain("AIM_ENGINE_URL");
  });

  it("says so when an answer has another shape than this version knows", async () => {
    const url = await listen((_, response) => response.end('{"replicas":[{"id":7}]}'));
    const { code, stderr } = await runCli(["ps"], { url });
    expect(code).toBe(1);
    expect(stderr).toContain("aim-engine version");
    expect(await runCli(["ps", "--json"], { url })).toMatchObject({ code: 0 });
  });

  it("notices an answer that breaks off", async () => {
    const url = await listen((_, response) => {
      response.writeHead(200, { "content-length": 100 }).write('{"text":"one"}\n');
      setImmediate(() => response.destroy());
    });
    for (const argv of [["logs", "-f", "demo-1"], ["ps"]])
      expect(await runCli(argv, { url })).toMatchObject({ code: 5 });
  });

  it("keeps the path that a reverse proxy wants", async () => {
    const paths: (string | undefined)[] = [];
    const url = await listen((request, response) => {
      paths.push(request.url);
      response.end('{"replicas":[]}');
    });
    await runCli(["ps"], { url: `${url}/ai` });
    await runCli(["stop", "org/big"], { url: `${url}/ai/` });
    expect(paths).toEqual(["/ai/api/replicas", "/ai/api/replicas/org%2Fbig"]);
  });
});

describe("a refusal", () => {
  const view = new ScriptedView();
  let server: AdminServer;

  beforeEach(async () => {
    server = await startAdminServer(view);
  });

  afterEach(() => server.close());

  it("comes with what to do, said once", async () => {
    const refuse = (message: string) => {
      view.onExplain = () => {
        throw new AimError("no_capacity", message);
      };
      return runCli(["explain", "demo"], { url: server.url });
    };
    expect((await refuse("all GPUs are in use")).stderr).toContain('make room with "aim-engine stop NAME"');
    expect((await refuse("all GPUs are in use: aim-engine stop demo-1")).stderr).toBe(
      "aim-engine: all GPUs are in use: aim-engine stop demo-1\n",
    );
  });
});

describe("exit codes", () => {
  it("has one for every error of the catalogue", () => {
    const known: readonly number[] = Object.values(EXIT);
    for (const code of Object.keys(ERROR_KINDS)) expect(known).toContain(exitCodeOf(code));
    expect([exitCodeOf("from_the_future"), exitCodeOf("constructor"), exitCodeOf("")]).toEqual([1, 1, 1]);
  });
});
