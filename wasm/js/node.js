// The entry for Node: the module lies beside this file and is loaded at once.

import { readFileSync } from "node:fs";

import { initSync } from "./bindings.js";
import { loaded } from "./replica.js";

export { RejoinError } from "./error.js";
export { Replica, protocolVersion } from "./replica.js";
export { Timestamp } from "./value.js";

initSync({ module: readFileSync(new URL("./bindings_bg.wasm", import.meta.url)) });
loaded();

export const init = () => Promise.resolve();
