import { decodeText, parseJSON, writeJSON } from "./json.ts";

/** What went wrong, in one word, from a closed set (spec/README.md, section 10). */
export type Code =
  | "cancelled"
  | "unknown"
  | "invalid_argument"
  | "deadline_exceeded"
  | "not_found"
  | "already_exists"
  | "permission_denied"
  | "resource_exhausted"
  | "failed_precondition"
  | "aborted"
  | "out_of_range"
  | "unimplemented"
  | "internal"
  | "unavailable"
  | "data_loss"
  | "unauthenticated";

const codes: ReadonlySet<string> = new Set<Code>([
  "cancelled",
  "unknown",
  "invalid_argument",
  "deadline_exceeded",
  "not_found",
  "already_exists",
  "permission_denied",
  "resource_exhausted",
  "failed_precondition",
  "aborted",
  "out_of_range",
  "unimplemented",
  "internal",
  "unavailable",
  "data_loss",
  "unauthenticated",
]);

/**
 * Whether the handler of a failed call ran, which one must know before asking again: no, proven;
 * maybe, nothing came back; yes, and its answer is an error, or was lost or wrong.
 */
export type Executed = "no" | "maybe" | "yes";

/** How a call fails. Handlers throw one to tell the caller more than "internal". */
export class CallError extends Error {
  override readonly name: string = "CallError";
  /** What went wrong. */
  readonly code: Code;
  /** For programs: anything that JSON can hold. */
  readonly data: unknown;
  /** Whether the handler ran. What a handler says here counts for nothing. */
  readonly executed: Executed;

  /** The message is for people: what was wrong, and what to do. */
  constructor(code: Code, message: string, data?: unknown, executed: Executed = "yes", cause?: unknown) {
    super(message, { cause });
    this.code = code;
    this.data = data;
    this.executed = executed;
  }
}

/** The text of whatever was thrown. */
export const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Makes the error of a call on this side. The text of what caused it stands behind the message. */
export const failure = (code: Code, executed: Executed, message: string, cause?: unknown): CallError =>
  new CallError(code, cause === undefined ? message : `${message}: ${textOf(cause)}`, undefined, executed, cause);

/** What is said of values that are too long, and of too many calls. */
export const tooLong = (bytes: number, most: number): string => `${bytes} bytes, at most ${most}: use a stream`;
export const tooMany = (what: string, most: number): string => `${most} ${what} are open`;

/** The same error, with what is known of the handler. */
export const restate = (e: CallError, executed: Executed): CallError =>
  new CallError(e.code, e.message, e.data, executed, e.cause);

const MAX_TEXT = 1365; // characters, so at most 4,096 bytes

/** Writes the payload of an error or bye. What is too long is cut or left out: an error must always get through. */
export const writeError = (e: CallError): string => {
  const { code, executed, data } = e;
  const said = { code, message: e.message.slice(0, MAX_TEXT).toWellFormed(), executed };
  try {
    const text = writeJSON({ ...said, data });
    if (text.length <= 6 * MAX_TEXT) return text;
  } catch {
    // only the data can be at fault
  }
  return writeJSON(said);
};

/** Reads the payload of an error, or of a bye with a code. */
export const readError = (payload: Uint8Array): CallError => {
  try {
    const { code, message = "", data, executed } = parseJSON(decodeText(payload)) as Record<string, unknown>;
    const ran = executed === "no" || executed === "maybe" ? executed : "yes";
    if (codes.has(code as string)) return new CallError(code as Code, `${message}`, data, ran);
    return new CallError("unknown", code === undefined ? `${message}` : `${code}: ${message}`, data, ran);
  } catch (cause) {
    return failure("data_loss", "yes", "an error that cannot be read", cause);
  }
};
