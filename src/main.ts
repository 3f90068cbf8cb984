// The program: command line in, exit code out.
import { processIo } from "./cli/io.ts";
import { run } from "./cli/program.ts";

// Not process.exit: what was written to a pipe must still get there.
process.exitCode = await run(process.argv.slice(2), processIo());
