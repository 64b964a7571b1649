// Who is let in, and to what.

import * as check from "./check.js";
import { report } from "./error.js";
import { decode, encode } from "./value.js";

const RIGHTS = ["none", "read", "write", "readWrite"];

/** Wraps a guard for the module: whatever goes wrong in it, nobody is let in by it, and its error surfaces. */
export const wrapGuard = (guard) => (applicant) => {
  try {
    return encode(describe(guard(decode(applicant))));
  } catch (error) {
    report(error);
    return encode(["refusal", 500, "the guard failed"]);
  }
};

function describe(verdict) {
  check.options(verdict, ["all", "collections", "of", "refuse", "code"], "what a guard gives has", "what a guard gives: ");
  if (verdict.refuse !== undefined) {
    return ["refusal", check.whole(verdict.code ?? 401, "a code"), check.text(verdict.refuse, "a reason")];
  }
  const principal = verdict.of === undefined ? "" : check.text(verdict.of, "`of`");
  const rights = ["rights", principal, right(verdict.all)];
  const collections = check.plainObject(verdict.collections ?? {}, "`collections` of a guard has");
  for (const [collection, given] of Object.entries(collections)) rights.push(collection, right(given));
  return rights;
}

const right = (given) =>
  RIGHTS.includes(given) ? given : check.refuse(`a guard gives "none", "read", "write" or "readWrite"`);
