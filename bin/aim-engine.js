#!/usr/bin/env -S node --max-semi-space-size=16
// Node runs the TypeScript sources as they are (type stripping): there is no build step, but it takes Node 24.
const [major] = process.versions.node.split(".");
if (Number(major) < 24) {
  console.error(
    `aim-engine needs Node 24 or later, and this is ${process.versions.node}. "npx aim-engine" and "npm start"`,
  );
  console.error("in its folder bring their own; so does any Node 24: node24 bin/aim-engine.js …");
  process.exit(1);
}
await import("../src/main.ts");
