import { type CallError, failure, restate, tooLong, tooMany } from "./error.ts";
import { Exchange, type Host } from "./exchange.ts";
import { KEY, PRIORITY, REPEAT, writeMetadata } from "./metadata.ts";
import type { CallStats } from "./stats.ts";
import { BULK_FROM, Inflow, type Priority, packed } from "./stream.ts";
import type { Written } from "./value.ts";
import { CANCEL, formed, ITEM, LONG, OWN, REQUEST, Reader } from "./wire.ts";

/** The modes of a call: who streams. */
export const FEEDS = 1;
export const TAKES = 2;

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

/** What a call that is made needs of its peer. */
export interface CallHost extends Host {
  readonly calls: Map<number, Call>;
  readonly made: CallStats;
  readonly callTimeout: number;
  readonly redials: boolean;
  lastCall: number;
  /** Of the calls, those that stream. */
  streams: number;
  /** Why no more calls are made, if none are. */
  refusal(): CallError | undefined;
  /** A call has ended. */
  settled(): void;
}

/** Why a call ends, in more than one place. */
export const timeOver = (): CallError => failure("deadline_exceeded", "no", "the call's time is over");
export const leaving = (): CallError => failure("unavailable", "no", "the other side is shutting down");

/** A call that this side makes. Whoever takes it out of the table settles it, so that happens once. */
export class Call extends Exchange {
  override readonly shared: CallHost;
  readonly own = true;
  readonly mode: number;
  /** When its time is over; 0: never. */
  due = 0;
  /** It waits for another connection. */
  held = false;
  /** It may be executed twice. */
  repeat = false;
  /** An earlier connection may have carried it. */
  sent = false;
  readonly #method: string;
  readonly #read: (form: number, r: Reader) => unknown;
  readonly #done: (error: CallError | undefined, value: unknown) => void;
  #written: Written | undefined;
  #meta: Uint8Array = new Uint8Array();
  #batch = -1;
  #signal: AbortSignal | undefined;

  /** Results, and items if there are some, are read with read; done is called once, when the call has ended. */
  constructor(
    host: CallHost,
    method: string,
    mode: number,
    read: (form: number, r: Reader) => unknown,
    done: (error: CallError | undefined, value: unknown) => void,
  ) {
    super(host);
    this.shared = host;
    this.#method = method;
    this.mode = mode;
    this.#read = read;
    this.#done = done;
    if (mode & TAKES) this.in = new Inflow(this, read);
  }

  /** Ends a call that was not started. */
  fail(error: CallError): void {
    this.ended = true;
    this.in?.finish(error);
    this.#done(error, undefined);
  }

  /** Queues the request, or says why not. */
  start(written: Written, options: CallOptions): CallError | undefined {
    const host = this.shared;
    const refused = this.#admit(written, options);
    if (refused) return refused;
    const now = performance.now();
    const timeout = options.timeout ?? (this.mode ? 0 : host.callTimeout);
    if (timeout > 0 && timeout < Infinity) {
      this.due = now + timeout;
      host.wakeBy(this.due);
    }
    this.id = ++host.lastCall;
    host.calls.set(this.id, this);
    if (this.mode) host.streams++;
    host.made.started++;
    this.#written = written;
    this.#signal = options.signal;
    this.#signal?.addEventListener("abort", this.#abort);
    if (host.line.goneAway) this.held = true;
    else this.enqueue(now);
    return undefined;
  }

  #admit(written: Written, options: CallOptions): CallError | undefined {
    const host = this.shared;
    const { calls, streams, value } = host.line.remote;
    const { signal, metadata = {}, key, repeat, priority = 0, timeout } = options;
    const no = (why: string): CallError => failure("resource_exhausted", "no", `${this.#method}: not sent: ${why}`);
    written.data = packed(written.data);
    const bytes = written.data.length;
    try {
      if (!/^[\w.-]{1,128}$/.test(this.#method)) throw new Error("bad method name");
      const own = Object.entries(metadata);
      if (own.some(([k]) => k.startsWith("rpc."))) throw new Error("metadata rpc.* is the protocol's own");
      if (repeat) own.push([REPEAT, ""]);
      if (key !== undefined) own.push([KEY, key]);
      if (priority) own.push([PRIORITY, `${priority}`]);
      if (own.length) this.#meta = writeMetadata(own);
    } catch (cause) {
      return failure("invalid_argument", "no", "not sent", cause);
    }
    this.repeat = repeat === true || key !== undefined;
    this.priority = priority;
    const refusal = host.refusal();
    if (refusal) return refusal;
    if (signal?.aborted) return this.#aborted(signal);
    if (timeout !== undefined && timeout <= 0) return timeOver();
    if (host.line.goneAway && (!host.redials || this.mode)) return leaving();
    if (host.line.waiting() > QUEUE_LIMIT) return no("too much waits to be taken");
    if (host.calls.size >= calls) return no(tooMany("calls", calls));
    if (this.mode && host.streams >= streams) return no(tooMany("streams", streams));
    if (bytes > value) return no(tooLong(bytes, value));
    return undefined;
  }

  #aborted(signal: AbortSignal): CallError {
    const late = (signal.reason as Error | undefined)?.name === "TimeoutError";
    return failure(late ? "deadline_exceeded" : "cancelled", "no", "the call was given up", signal.reason);
  }

  readonly #abort = (): void => this.giveUp(this.#aborted(this.#signal as AbortSignal));

  /** Queues the request of an open call. */
  enqueue(now: number): void {
    const { line } = this.shared;
    const { form, data } = this.#written as Written;
    const meta = this.#meta;
    const method = this.#method;
    const long = data.length >= BULK_FROM;
    const first = formed(REQUEST | OWN | (long ? LONG : 0), form);
    const to = line.next();
    this.held = false;
    to.wrap(
      first,
      this.id,
      () => {
        to.u(this.mode);
        to.u(this.due ? Math.max(1, Math.ceil(this.due - now)) : 0);
        to.u(meta.length);
        to.put(meta);
        to.u(method.length);
        to.text(method);
        if (!long) to.value(data);
        else {
          // The request goes with the calls, since ids must count up on the wire; what follows is bulk.
          to.u(data.length);
          line.window.sent += to.at - to.payload;
          this.flow().queue(first, data, true);
        }
      },
      method.length + meta.length + (long ? 0 : data.length) + 6,
    );
    this.#batch = line.batch;
  }

  /** Whether the request, and all of its arguments, can have got out. */
  executed(): "no" | "maybe" {
    if (this.sent) return "maybe";
    return this.held || this.#batch === this.shared.line.batch || this.out?.arguments() ? "no" : "maybe";
  }

  /** Takes the call back that this connection will not answer, to ask over the next. */
  hold(sent: boolean): void {
    this.held = true;
    this.sent = sent;
    this.dropLong();
    this.out?.finish();
    this.out = undefined;
  }

  /** Settles an open call and tells the other side. */
  giveUp(error: CallError): void {
    if (this.ended) return;
    const { line } = this.shared;
    let e = error;
    // Even a request that waits in the line goes out, the cancel right behind it.
    if (e.executed === "no" && (this.sent || (!this.held && !this.out?.arguments()))) e = restate(e, "maybe");
    if (!this.held) line.next().frame(CANCEL | OWN, this.id, "");
    this.settle(e);
  }

  breakOff(error: CallError): void {
    this.giveUp(error);
  }

  left(error: CallError = failure("cancelled", "no", "the reader left")): void {
    this.giveUp(error);
  }

  answered(): void {} // a caller's flow answers nothing

  /** Ends an open call: with its result, or with the error. */
  settle(error: CallError | undefined, value?: unknown): void {
    const host = this.shared;
    host.calls.delete(this.id);
    if (this.mode) host.streams--;
    if (error) host.made.failed++;
    else host.made.succeeded++;
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#written = undefined;
    this.close(error);
    this.#done(error, value);
    host.settled();
  }

  /** Takes the result in. */
  result(form: number, r: Reader): void {
    if (this.in && !this.in.ended) {
      return this.settle(failure("data_loss", "yes", `the stream broke off after ${this.in.items} items`));
    }
    let value: unknown;
    try {
      if (!this.in) value = this.#read(form, r);
    } catch (cause) {
      return this.settle(failure("data_loss", "yes", `${this.#method}: a wrong answer`, cause));
    }
    this.settle(undefined, value);
  }

  protected whole(kind: number, form: number, bytes: Uint8Array): void {
    if (kind === ITEM) this.in?.put(form, bytes, true);
    else {
      this.shared.assembling -= bytes.length;
      this.result(form, new Reader(bytes));
    }
  }
}
