/** The one error class of the package; its codes are in rejoin.d.ts. */
export class RejoinError extends Error {
  constructor(code, message, details = {}, options) {
    super(message, options);
    this.name = "RejoinError";
    this.code = code;
    this.details = details;
  }
}
