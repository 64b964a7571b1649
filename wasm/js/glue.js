// What the WebAssembly module asks of JavaScript.

import { RejoinError } from "./error.js";
import { decode } from "./value.js";

/** Makes an error; the details are an encoded object. */
export const rejoinError = (code, message, details) => new RejoinError(code, message, decode(details));
