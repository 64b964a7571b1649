// One conversation with one peer.

import * as check from "./check.js";
import { decode } from "./value.js";

export class Session {
  #core;
  #replica;

  /** `replica` has the time, checks that the replica is open, and tells its subscribers. */
  constructor(core, replica) {
    this.#core = core;
    this.#replica = replica;
  }

  #open() {
    this.#replica.open();
    return this.#core;
  }

  transmit() {
    return this.#open().transmit(this.#replica.now());
  }

  receive(message) {
    this.#open().receive(check.bytes(message, "a message"), this.#replica.now());
    this.#replica.tell();
  }

  get settled() {
    return this.#open().settled();
  }

  status() {
    return decode(this.#open().status());
  }

  events() {
    return decode(this.#open().events());
  }

  expire() {
    return this.#open().expire(this.#replica.now());
  }

  get deadline() {
    return this.#open().deadline();
  }

  close() {
    this.#open().close(this.#replica.now());
  }
}
