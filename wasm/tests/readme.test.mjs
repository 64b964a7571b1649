// The snippets of the package's README that stand on their own run.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const readme = readFileSync(new URL("./node_modules/rejoin/README.md", import.meta.url), "utf8");
const snippets = [...readme.matchAll(/^```js runs\n(.*?)^```$/gms)].map(([, code]) => code);

const run = (code) => execFileSync(process.execPath, ["--input-type=module", "--eval", code], { encoding: "utf8" });

test("the snippets of the README say what they say", () => {
  const [start, keep, conflict, ...more] = snippets.map(run);
  assert.match(start, /\{ tags: \[ 'home' \], title: 'Buy milk', votes: 1 \}\n[0-9a-f-]{36} Buy milk\n/);
  assert.equal(keep, "true\n");
  assert.match(conflict, /Oat milk here/);
  assert.match(conflict, /Soy milk there/);
  assert.deepEqual(more, []);
});
