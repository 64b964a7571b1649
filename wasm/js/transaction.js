// Transactions and the documents that they edit.

import { idFromKey } from "./bindings.js";
import * as check from "./check.js";
import { call } from "./custom.js";
import { RejoinError } from "./error.js";
import { decode, encode } from "./value.js";

/** The way to the module while a transaction runs. */
export class Scope {
  #edit;

  constructor(edit, newId) {
    this.#edit = edit;
    this.newId = newId;
  }

  /** Sends one edit, or a read of what the transaction sees. */
  send(...request) {
    const edit = this.#edit;
    if (edit === undefined) {
      throw new RejoinError("transaction-ended", "the transaction is over; its documents cannot be used any more");
    }
    return decode(call(() => edit(encode(request))));
  }

  end() {
    this.#edit = undefined;
  }
}

export class Transaction {
  #scope;

  constructor(scope) {
    this.#scope = scope;
  }

  create(collection) {
    return this.#ensure(collection, this.#scope.newId());
  }

  createWithKey(collection, key) {
    const name = check.collection(collection);
    return this.#ensure(name, idFromKey(name, check.text(key, "a key")));
  }

  #ensure(collection, id) {
    const document = this.open(collection, id);
    document.ensure();
    return document;
  }

  open(collection, id) {
    const place = [check.collection(collection), check.id(id)];
    // Tells at once when the id is none, or the transaction is over.
    this.#scope.send("map", ...place, []);
    return new DocumentMut(this.#scope, place, []);
  }

  delete(collection, id) {
    this.open(collection, id).delete();
  }

  dropRejected(dot) {
    return this.#scope.send("dropRejected", ...check.dot(dot));
  }

  get(collection, id) {
    return this.#scope.send("read", check.collection(collection), check.id(id), []);
  }
}

class DocumentMut {
  #scope;
  #place;
  #path;

  constructor(scope, place, path) {
    this.#scope = scope;
    this.#place = place;
    this.#path = path;
  }

  get id() {
    return this.#place[1];
  }

  #send(operation, ...rest) {
    return this.#scope.send(operation, ...this.#place, this.#path, ...rest);
  }

  #field(operation, field, ...rest) {
    const name = check.field(field);
    naming([...this.#path, name], () => this.#send(operation, name, ...rest));
  }

  set(field, value) {
    this.#field("set", field, value);
  }

  resolve(field, value) {
    this.#field("resolve", field, value);
  }

  remove(field) {
    this.#field("remove", field);
  }

  increment(field, step = 1) {
    this.#field("increment", field, check.whole(step, "a step"));
  }

  decrement(field, step = 1) {
    this.#field("increment", field, check.whole(-check.whole(step, "a step"), "a step"));
  }

  reset(field) {
    this.#field("reset", field);
  }

  addTo(field, element) {
    this.#field("addTo", field, element);
  }

  removeFrom(field, element) {
    this.#field("removeFrom", field, element);
  }

  enable(field) {
    this.#field("enable", field);
  }

  disable(field) {
    this.#field("disable", field);
  }

  map(field) {
    const path = [...this.#path, check.field(field)];
    const map = new DocumentMut(this.#scope, this.#place, path);
    // Tells at once when the field is none, or is no map.
    naming(path, () => map.#send("map"));
    return map;
  }

  ensure() {
    this.#send("ensure");
  }

  delete() {
    this.#send("delete");
  }

  erase() {
    this.#send("erase");
  }

  get() {
    return this.#send("get");
  }
}

/** Errors that tell of a value, and not whose it is. */
const OF_A_VALUE = ["value", "limit", "overflow"];
/** How much of a name a message shows: one that is too long is an error itself. */
const SHOWN = 80;

/** Does an edit of a field; when its value cannot be taken, the error names the field. */
function naming(path, edit) {
  try {
    edit();
  } catch (error) {
    if (!(error instanceof RejoinError && OF_A_VALUE.includes(error.code))) throw error;
    const name = path.join(".");
    const shown = name.length > SHOWN ? `${name.slice(0, SHOWN)}…` : name;
    const details = { ...error.details, field: path.at(-1), path };
    throw new RejoinError(error.code, `the field "${shown}": ${error.message}`, details);
  }
}
