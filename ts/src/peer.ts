import { Call, type CallOptions, FEEDS, TAKES } from "./call.ts";
import type { Conn } from "./conn.ts";
import { type Core, closedHere, newCore } from "./core.ts";
import type { CallError } from "./error.ts";
import type { Feeding } from "./feed.ts";
import type { Mux } from "./mux.ts";
import type { PeerOptions } from "./options.ts";
import type { Stats } from "./stats.ts";
import type { Inflow } from "./stream.ts";
import { readValue, type Written, writeList } from "./value.ts";
import type { Reader } from "./wire.ts";

/** Calls the other end of a connection and serves it. Both ends are alike. */
export class Peer {
  /** Resolved when the other side has said hello; rejected when the connection ends before. */
  readonly ready: Promise<void>;
  /** Resolved when the connection is over for good and every call has been settled. It is never rejected, see error. */
  readonly done: Promise<void>;
  /** Why the connection ended: undefined while it has not, and if either side closed it in order. */
  error: CallError | undefined;
  /** What the program keeps along with the peer: who has logged in on it, say. */
  readonly values: Map<unknown, unknown> = new Map<unknown, unknown>();
  readonly #core: Core;

  /** Makes a peer on a connection, which it then owns. Calls may be made at once; they are sent when the other side is there. */
  constructor(conn: Conn, services?: Mux, options: PeerOptions = {}) {
    let greeted: () => void = () => {};
    let gone: (lost: CallError, why?: CallError) => void = () => {};
    this.ready = new Promise((resolve, reject) => {
      greeted = resolve;
      gone = reject;
    });
    this.ready.catch(() => {}); // who does not wait for it need not hear of it
    this.done = new Promise((resolve) => {
      const ungreeted = gone;
      gone = (lost, why) => {
        this.error = why;
        ungreeted(lost);
        resolve();
      };
    });
    this.#core = newCore(this, services, options, greeted, gone);
    this.#core.attach(conn);
  }

  /**
   * Asks by the method's name. The arguments travel by position; a last Uint8Array travels raw and must
   * not change until the promise is settled. The answer is whatever came: JSON, bytes, or a pair of both.
   */
  send(method: string, ...args: unknown[]): Promise<unknown> {
    return this.ask(method, (plain) => writeList(args, plain), readValue);
  }

  /** What Method.call and Sink.call are made of: asks for one answer, which read reads. */
  ask(
    method: string,
    write: (plain: boolean) => Written,
    read: (form: number, r: Reader) => unknown,
    options?: CallOptions,
    feeding?: Feeding,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const call = new Call(this.#core, method, feeding ? FEEDS : 0, read, (error, value) =>
        error ? reject(error) : resolve(value),
      );
      this.#core.start(call, write, options, feeding);
    });
  }

  /** What Source.call and Duplex.call are made of: asks for a stream, whose items read reads. */
  open(
    method: string,
    write: (plain: boolean) => Written,
    read: (form: number, r: Reader) => unknown,
    options?: CallOptions,
    feeding?: Feeding,
  ): Inflow {
    const call = new Call(this.#core, method, feeding ? FEEDS | TAKES : TAKES, read, () => {});
    this.#core.start(call, write, options, feeding);
    return call.in as Inflow;
  }

  /** The name that the other side gave in its hello; "" before that. */
  get agent(): string {
    return this.#core.line.remote.agent;
  }

  /** The hash of what the other side serves, as its hello says it; "" before that, and if it does not say. */
  get schema(): string {
    return this.#core.line.remote.schema;
  }

  /** The figures of now. */
  get stats(): Stats {
    return this.#core.stats();
  }

  /** Ends the connection. Open calls of both sides end at once; their errors say whether they were executed. */
  close(): void {
    this.#core.end(closedHere(), undefined, { message: "closed" });
  }

  /**
   * Ends the connection when nothing is open on it any more: no new call is taken from either side, those
   * that are open may finish. If the signal is aborted first, the connection is closed all the same.
   */
  shutdown(signal?: AbortSignal): Promise<void> {
    signal?.addEventListener("abort", () => this.close());
    this.#core.drain();
    if (signal?.aborted) this.close();
    return this.done;
  }
}
