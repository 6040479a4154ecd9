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

export const isCode = (word: unknown): word is Code => codes.has(word as string);

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
