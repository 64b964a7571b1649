// A document as it was read.

import * as check from "./check.js";
import { call } from "./custom.js";
import { decode, exact } from "./value.js";

export class DocumentView {
  #view;
  #path;

  constructor(view, id, path = []) {
    this.#view = view;
    this.#path = path;
    this.id = id;
  }

  toObject() {
    return decode(call(() => this.#view.toObject(this.#path)));
  }

  get(field) {
    const name = check.text(field, "a field");
    return decode(call(() => this.#view.get(this.#path, name)));
  }

  conflicts(field) {
    return decode(this.#view.conflicts(this.#path, check.text(field, "a field")));
  }

  conflicted() {
    return decode(this.#view.conflicted(this.#path));
  }

  isUnresolved(field) {
    const name = check.text(field, "a field");
    return call(() => this.#view.isUnresolved(this.#path, name));
  }

  counter(field) {
    return exact(this.#view.counter(this.#path, check.text(field, "a field")));
  }

  map(field) {
    return new DocumentView(this.#view, this.id, [...this.#path, check.text(field, "a field")]);
  }

  unexpected() {
    return decode(this.#view.unexpected(this.#path));
  }
}
