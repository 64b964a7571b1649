// Declared fields, and the custom functions among them.

import { checkValue } from "./bindings.js";
import * as check from "./check.js";
import { RejoinError } from "./error.js";
import { decode, encode } from "./value.js";

const NOTHING = new Uint8Array(0);

/** What a custom function threw during the call into the module that is under way. */
let failure;

/** A custom function is running. */
let resolving = false;

/** Refuses what a custom function may not do: it could go round in circles. */
export function refuseWhileResolving() {
  if (resolving) throw new RejoinError("busy", "a custom function may not use a replica");
}

/** Calls into the module. What a custom function threw meanwhile is thrown when the module has returned. */
export function call(work) {
  refuseWhileResolving();
  failure = undefined;
  const result = work();
  if (failure !== undefined) {
    const { name, error } = failure;
    failure = undefined;
    throw new RejoinError("resolver", `the custom function "${name}" failed`, { name }, { cause: error });
  }
  return result;
}

/** Describes declared fields for the module: an encoded object, and the functions that it mentions by number. */
export function describe(collection, fields) {
  const functions = [];
  check.plainObject(fields, `the fields of the collection "${collection}" have`);
  return [encode(describeFields(fields, functions)), functions];
}

function describeFields(fields, functions) {
  const described = Object.create(null);
  for (const [name, type] of Object.entries(fields)) described[name] = describeType(type, name, functions);
  return described;
}

function describeType(type, field, functions) {
  if (typeof type === "string") return type;
  const what = `the type of the field "${field}"`;
  if (typeof type === "function") check.refuse(`${what} is a function: put it into { custom, name, version }`);
  check.plainObject(type, `${what} is no string: it has`);
  if (typeof type.custom !== "function") return describeFields(type, functions);
  check.options(type, ["custom", "name", "version"], undefined, `${what}: `);
  const name = check.text(type.name, `the name of the custom function of "${field}"`);
  const version = check.whole(type.version ?? 1, `the version of the custom function of "${field}"`);
  functions.push(wrap(name, type.custom));
  return [name, version, functions.length - 1];
}

function wrap(name, custom) {
  return (siblings) => {
    try {
      resolving = true;
      const shown = custom(decode(siblings));
      if (shown === undefined) return NOTHING;
      const bytes = encode(shown);
      checkValue(bytes);
      return bytes;
    } catch (error) {
      failure ??= { name, error };
      return NOTHING;
    } finally {
      resolving = false;
    }
  };
}
