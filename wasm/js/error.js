/** The one error class of the package; its codes are in rejoin.d.ts. */
export class RejoinError extends Error {
  constructor(code, message, details = {}, options) {
    super(message, options);
    this.name = "RejoinError";
    this.code = code;
    this.details = details;
  }
}

/** An error of a callback is the app's: it surfaces like one thrown in an event listener. */
export function report(error) {
  if (typeof reportError === "function") reportError(error);
  else queueMicrotask(() => { throw error; });
}
