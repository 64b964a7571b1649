// Replays histories that native replicas went through, and compares everything: the roots after each step, the outcome of
// each edit, every byte of the sessions, and what each replica shows at the end.
//
//     cargo xtask roots --histories 1000 --seed 1
//
// At the end it changes a letter in some of the histories, and fails if nobody notices.

import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { isDeepStrictEqual } from "node:util";

import { init } from "rejoin";
import { replay } from "./history.mjs";

const ALTERED = 20;
const FAILURES_SHOWN = 5;

class Different extends Error {}

/** Throws with the first thing that differs. */
function check(got, expected, where) {
  if (!isDeepStrictEqual(got, expected)) throw new Different(difference(got, expected, where));
}

/** The first place at which two results differ, and what stands there. */
function difference(got, expected, where) {
  const inner = (value) => (typeof value === "object" && value !== null ? Object.keys(value).sort() : []);
  const keys = inner(got).join() === inner(expected).join() ? inner(got) : [];
  const key = keys.find((key) => !isDeepStrictEqual(got[key], expected[key]));
  if (key !== undefined) return difference(got[key], expected[key], `${where}, ${key}`);
  return `${where}:\n  native ${JSON.stringify(expected)}\n  wasm   ${JSON.stringify(got)}`;
}

/** The history with another letter in one value that mattered; `undefined` when it has none. */
function altered(history) {
  const copy = structuredClone(history);
  const roots = copy.replicas.map(() => undefined);
  for (const step of copy.steps) {
    if (step.meet) {
      step.meet.pair.forEach((at, side) => (roots[at] = step.expect.roots[side]));
      continue;
    }
    const { at, edits, abort } = step.commit;
    const mattered = step.expect.root !== roots[at] && !abort && edits.length === 1;
    roots[at] = step.expect.root;
    const [, , , , [action, , value]] = edits[0] ?? [[], [], [], [], []];
    if (mattered && action === "set" && step.expect.outcomes[0] === "done" && typeof value === "string") {
      edits[0][4][2] = `${value}.`;
      return copy;
    }
  }
  return undefined;
}

await init();
const [file] = process.argv.slice(2);
let [passed, failed, noticed, changed] = [0, 0, 0, 0];
for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
  const history = JSON.parse(line);
  try {
    replay(history, check);
    passed += 1;
  } catch (error) {
    failed += 1;
    if (failed > FAILURES_SHOWN) continue;
    console.error(`seed ${history.seed}: ${error instanceof Different ? error.message : error.stack}`);
    console.error(`  again: cargo xtask roots --histories 1 --seed ${history.seed}`);
    continue;
  }
  const other = changed < ALTERED ? altered(history) : undefined;
  if (!other) continue;
  changed += 1;
  try {
    replay(other, check);
  } catch (error) {
    if (!(error instanceof Different)) throw error;
    noticed += 1;
  }
}
if (noticed < changed || (passed >= 10 * ALTERED && changed < ALTERED)) {
  console.error(`of ${changed} histories with a changed letter only ${noticed} were told apart: this test sees nothing`);
  failed += 1;
}
console.log(`native and wasm: ${passed} passed, ${failed} failed; ${noticed} of ${changed} changed histories noticed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
