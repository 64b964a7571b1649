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
    const name = check.text(field, "a field");
    return decode(call(() => this.#view.get(name)));
  }

  conflicts(field) {
    return decode(this.#view.conflicts(check.text(field, "a field")));
  }

  conflicted() {
    return decode(this.#view.conflicted());
  }

  isUnresolved(field) {
    const name = check.text(field, "a field");
    return call(() => this.#view.isUnresolved(name));
  }

  counter(field) {
    return exact(this.#view.counter(check.text(field, "a field")));
  }

  map(field) {
    return new DocumentView(this.#view.map(check.text(field, "a field")), this.id);
  }

  unexpected() {
    return decode(this.#view.unexpected());
  }
}
