import type { Core } from "./core.ts";
import { CallError, failure, restate, textOf, tooLong, tooMany } from "./error.ts";
import { Exchange, TAKES } from "./exchange.ts";
import { type Feeding, feed } from "./feed.ts";
import { KEY, PRIORITY, REPEAT, writeMetadata } from "./metadata.ts";
import { BULK_FROM, Inflow, type Priority, packed } from "./stream.ts";
import { after } from "./time.ts";
import type { Written } from "./value.ts";
import { CANCEL, formed, LONG, OWN, PART, REQUEST, Reader } from "./wire.ts";

const QUEUE_LIMIT = 32 * 1024 * 1024; // so many bytes may wait before calls are refused

/** What may be said of one call. */
export interface CallOptions {
  /** Ends the call when it is aborted; so the handler's signal is, too. */
  readonly signal?: AbortSignal;
  /** Milliseconds until the call is given up. Unset: that of the peer's options; streams have none. */
  readonly timeout?: number;
  /** What the handler finds beside the arguments. Keys are 1 to 64 of a-z, 0-9, '.', '_', '-', and do not begin with "rpc.". */
  readonly metadata?: Readonly<Record<string, string>>;
  /** The method is pure: with the option redial, the call goes on over another connection. Unset: it ends. */
  readonly repeat?: boolean;
  /** Likewise for a keyed method: 16 to 128 bytes that nobody can guess. Calls with one key have one effect. */
  readonly key?: string;
  /** How large a share of the connection the call's bulk has: 1 is interactive, -1 in the background. Unset: 0. */
  readonly priority?: Priority;
}

/** Why a call ends, in more than one place. */
export const leaving = (): CallError => failure("unavailable", "no", "the other side is shutting down");
const timeOver = (): CallError => failure("deadline_exceeded", "no", "the call's time is over");

/** A call that this side makes. Whoever takes it out of the table settles it, so that happens once. */
export class Call extends Exchange {
  readonly own: number = OWN;
  readonly mode: number;
  /** It waits for another connection. */
  held = false;
  /** It may be executed twice. */
  repeat = false;
  /** An earlier connection may have carried it. */
  sent = false;
  readonly #method: string;
  readonly #read: (form: number, r: Reader) => unknown;
  readonly #done: (error: CallError | undefined, value?: unknown) => void;
  #written: Written | undefined;
  #meta: Uint8Array | undefined;
  #due = 0; // when its time is over; 0: never
  #batch = -1;
  #signal: AbortSignal | undefined;

  /** Results, and items if there are some, are read with read; done is called once, when the call has ended. */
  constructor(
    core: Core,
    method: string,
    mode: number,
    read: (form: number, r: Reader) => unknown,
    done: (error: CallError | undefined, value?: unknown) => void,
  ) {
    super(core);
    this.#method = method;
    this.mode = mode;
    this.#read = read;
    this.#done = done;
    if (mode & TAKES) this.in = new Inflow(this, read);
  }

  /** Queues the request and begins to feed it, or fails at once. */
  start(write: (plain: boolean) => Written, options: CallOptions = {}, feeding?: Feeding): void {
    const { core, mode } = this;
    const { timeout = mode ? Infinity : core.callTimeout, signal, priority = 0, key, repeat } = options;
    let refused: CallError | undefined;
    try {
      const written = write(core.line.remote.json);
      this.#written = { form: written.form, data: packed(written.data) };
      this.#meta = this.#metadata(options);
      refused = this.#refusal(this.#written.data.length, timeout, signal);
    } catch (cause) {
      refused = failure("invalid_argument", "no", "not sent", cause);
    }
    if (refused) {
      this.ended = true;
      this.in?.finish(refused);
      return this.#done(refused);
    }
    const now = performance.now();
    if (timeout < Infinity) this.#due = now + timeout;
    this.timer = after(timeout, () => this.giveUp(timeOver()));
    this.id = ++core.lastCall;
    this.priority = priority;
    this.repeat = repeat === true || key !== undefined;
    core.calls.set(this.id, this);
    if (mode) core.streams++;
    core.stats.out.started++;
    this.#signal = signal;
    signal?.addEventListener("abort", this.#abort);
    if (core.line.goneAway) this.held = true;
    else this.enqueue(now);
    if (feeding) {
      feed(this, feeding).catch((e) =>
        this.giveUp(
          e instanceof CallError ? restate(e, "no") : new CallError("cancelled", textOf(e), undefined, "no", e),
        ),
      );
    }
  }

  #metadata({ metadata = {}, repeat, key, priority }: CallOptions): Uint8Array {
    if (!/^[\w.-]{1,128}$/.test(this.#method)) throw new Error(`method name ${JSON.stringify(this.#method)}`);
    const entries = Object.entries(metadata);
    if (entries.some(([k]) => k.startsWith("rpc."))) throw new Error("metadata rpc.* is the protocol's own");
    if (repeat) entries.push([REPEAT, ""]);
    if (key !== undefined) entries.push([KEY, key]);
    if (priority) entries.push([PRIORITY, `${priority}`]);
    return writeMetadata(entries);
  }

  /** Why the call is not made, if it is not. */
  #refusal(bytes: number, timeout: number, signal?: AbortSignal): CallError | undefined {
    const { core, mode } = this;
    const { line } = core;
    const { calls, streams, value } = line.remote;
    const gone = core.refusal();
    if (gone) return gone;
    if (signal?.aborted) return aborted(signal);
    if (timeout <= 0) return timeOver();
    if (line.goneAway && (!core.redials || mode)) return leaving();
    const full =
      line.waiting() > QUEUE_LIMIT
        ? "too much waits to be taken"
        : core.calls.size >= calls
          ? tooMany("calls", calls)
          : mode && core.streams >= streams
            ? tooMany("streams", streams)
            : bytes > value && bytes >= BULK_FROM
              ? tooLong(bytes, value)
              : "";
    return full ? failure("resource_exhausted", "no", full) : undefined;
  }

  readonly #abort = (): void => this.giveUp(aborted(this.#signal as AbortSignal));

  /** Queues the request of an open call. */
  enqueue(now: number): void {
    const { line } = this.core;
    const { form, data } = this.#written as Written;
    const meta = this.#meta as Uint8Array;
    const method = this.#method;
    const long = data.length >= BULK_FROM;
    const first = formed(REQUEST | OWN | (long ? LONG : 0), form);
    const left = this.#due && Math.max(1, Math.ceil(this.#due - now));
    this.held = false;
    const size = line
      .next()
      .frame(first, this.id, this.mode, left, meta.length, meta, method.length, method, long ? data.length : data);
    if (long) {
      // The request goes with the calls, since ids must count up on the wire; what follows is bulk.
      line.window.sent += size;
      this.flow().queue(PART | OWN, data, true);
    }
    this.#batch = line.batch;
  }

  /** Whether the request, and all of its arguments, can have got out. */
  executed(): "no" | "maybe" {
    if (this.sent) return "maybe";
    return this.held || this.#batch === this.core.line.batch || this.out?.arguments() ? "no" : "maybe";
  }

  /** Takes the call back that this connection will not answer, to ask over the next. */
  hold(sent: boolean): void {
    this.held = true;
    this.sent = sent;
    this.out?.finish();
    this.out = undefined;
    this.dropLong();
  }

  /** Settles an open call and tells the other side. */
  giveUp(error: CallError): void {
    if (this.ended) return;
    let e = error;
    // Even a request that waits in the line goes out, the cancel right behind it.
    if (e.executed === "no" && (this.sent || (!this.held && !this.out?.arguments()))) e = restate(e, "maybe");
    if (!this.held) this.core.line.next().frame(CANCEL | OWN, this.id);
    this.settle(e);
  }

  /** Ends an open call: with its result, or with the error. */
  settle(error: CallError | undefined, value?: unknown): void {
    const { core } = this;
    core.calls.delete(this.id);
    if (this.mode) core.streams--;
    core.stats.out[error ? "failed" : "succeeded"]++;
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#written = undefined;
    this.close(error);
    this.#done(error, value);
    core.settled();
  }

  /** Takes the result in. */
  result(form: number, r: Reader): void {
    let value: unknown;
    let wrong: CallError | undefined;
    try {
      if (this.in && !this.in.ended) throw new Error("its stream has not ended");
      if (!this.in) value = this.#read(form, r);
    } catch (cause) {
      wrong = failure("data_loss", "yes", `${this.#method}: a wrong answer`, cause);
    }
    this.settle(wrong, value);
  }

  whole(form: number, bytes: Uint8Array): void {
    this.core.assembling -= bytes.length;
    this.result(form, new Reader(bytes));
  }
}

const aborted = ({ reason }: AbortSignal): CallError =>
  failure(reason?.name === "TimeoutError" ? "deadline_exceeded" : "cancelled", "no", "the call was given up", reason);
