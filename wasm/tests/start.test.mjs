// The first program of the repository's README runs as it stands there.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const readme = readFileSync(new URL("./README.md", import.meta.url), "utf8");

test("the start in README shows the conflict and its end", () => {
  const [, code] = readme.match(/^```js runs\n(.*?)^```$/ms);
  const said = execFileSync(process.execPath, ["--input-type=module", "--eval", code], { encoding: "utf8" });
  assert.match(said, /^Buy oat milk here /m);
  assert.match(said, /^Buy milk and eggs on the laptop /m);
  assert.match(said, /\{ tags: \[\], title: 'Buy oat milk and eggs', votes: 1 \}\n$/);
});
