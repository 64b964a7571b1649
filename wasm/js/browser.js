// The entry for browsers and bundlers: the module is fetched by `init()`.

import load from "./bindings.js";
import { loaded } from "./replica.js";

export { RejoinError } from "./error.js";
export { Replica, protocolVersion } from "./replica.js";
export { Timestamp } from "./value.js";

let loading;

export function init(source) {
  loading ??= load(source === undefined ? undefined : { module_or_path: source }).then(loaded, (error) => {
    // It may be tried again.
    loading = undefined;
    throw error;
  });
  return loading;
}
