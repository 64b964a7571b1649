// What apps hand in: checked once, at the door.

import { RejoinError } from "./error.js";
import { isPlain, isWellFormed } from "./value.js";

export const refuse = (message) => {
  throw new RejoinError("argument", message);
};

export function text(value, what) {
  if (typeof value !== "string") refuse(`${what} has to be a string`);
  if (!isWellFormed(value)) refuse(`${what} has half a surrogate pair in it`);
  return value;
}

export function bytes(value, what, wanted = "a Uint8Array") {
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  return value instanceof Uint8Array ? value : refuse(`${what} has to be ${wanted}`);
}

export function milliseconds(value, what) {
  const fits = typeof value === "number" && value >= 0 && value < Infinity;
  return fits ? Math.floor(value) : refuse(`${what} has to be a number of milliseconds`);
}

/** How many. */
export function count(value, what) {
  const fits = Number.isInteger(value) && value >= 0 && value < 2 ** 32;
  return fits ? value : refuse(`${what} has to be a whole number`);
}

export function callback(value, what) {
  return typeof value === "function" ? value : refuse(`${what} has to be a function`);
}

/** True or false; what is left out is false. */
export function flag(value, what) {
  return typeof (value ?? false) === "boolean" ? value === true : refuse(`${what} has to be true or false`);
}

/** Here `what` ends with its verb: "the options have". */
export function object(value, what) {
  const fits = typeof value === "object" && value !== null && !Array.isArray(value);
  return fits ? value : refuse(`${what} to be an object`);
}

/** An object whose names are the app's: a list or a `Map` would count as an empty one. */
export function plainObject(value, what) {
  return isPlain(object(value, what)) ? value : refuse(`${what} to be a plain object`);
}

/** An object with none but the known names: a mistyped one would silently do nothing. `where` begins the message. */
export function options(value, known, what = "the options have", where = "") {
  const unknown = Object.keys(object(value, what)).find((name) => !known.includes(name));
  if (unknown !== undefined) refuse(`${where}there is no option \`${unknown}\`${didYouMean(unknown, known)}`);
  return value;
}

/** Ends a sentence with the name that was probably meant, if one is close. */
export function didYouMean(name, known) {
  const most = Math.max(1, Math.floor(name.length / 3));
  const far = (other) => distance(name.toLowerCase(), other.toLowerCase());
  // A long name is no slip of the finger, and would take long to compare.
  const [closest] = name.length > 64 ? [] : [...known].sort((a, b) => far(a) - far(b));
  return closest !== undefined && far(closest) <= most ? `; did you mean \`${closest}\`?` : "";
}

/** How many letters have to be added, dropped or replaced (Levenshtein). */
function distance(from, to) {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= to.length; j += 1) {
      next[j] = Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (from[i - 1] === to[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[to.length];
}

export function whole(value, what) {
  const fits = typeof value === "bigint" ? BigInt.asIntN(64, value) === value : Number.isSafeInteger(value);
  return fits ? value : refuse(`${what} has to be a whole number of 64 bits`);
}

/** A secret or a token. */
export function textOrBytes(value, what) {
  if (typeof value === "string") return new TextEncoder().encode(text(value, what));
  return bytes(value, what, "a string or a Uint8Array");
}

/** A dot, as the module reads it. */
export const dot = (value) =>
  [text(object(value, "a dot has").replica, "the replica of a dot"), whole(value.counter, "the counter of a dot")];

/** The name of a collection. */
export const collection = (value) => text(value, "the name of a collection");

/** The name of a field. */
export const field = (value) => text(value, "the name of a field");

/** The id of a document. */
export const id = (value) => text(value, "the id of a document");
