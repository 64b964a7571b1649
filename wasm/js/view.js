// A document as it was read.

import * as check from "./check.js";
import { call } from "./custom.js";
import { decode, exact } from "./value.js";

export class DocumentView {
  #view;

  constructor(view, id) {
    this.#view = view;
    this.id = id;
  }

  toObject() {
    return decode(call(() => this.#view.toObject()));
  }

  get(field) {
    const name = check.field(field);
    return decode(call(() => this.#view.get(name)));
  }

  conflicts(field) {
    return decode(this.#view.conflicts(check.field(field)));
  }

  conflicted() {
    return decode(this.#view.conflicted());
  }

  isUnresolved(field) {
    const name = check.field(field);
    return call(() => this.#view.isUnresolved(name));
  }

  counter(field) {
    return exact(this.#view.counter(check.field(field)));
  }

  map(field) {
    return new DocumentView(this.#view.map(check.field(field)), this.id);
  }

  withheld() {
    return decode(this.#view.withheld());
  }

  unexpected() {
    return decode(this.#view.unexpected());
  }
}
