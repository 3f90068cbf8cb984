#!/usr/bin/env node
// Node runs the TypeScript sources as they are (type stripping): there is no build step.
import "../src/main.ts";
