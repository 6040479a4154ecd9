import { FEEDS, TAKES } from "./call.ts";
import { CallError, type Code, failure, restate, textOf, tooLong, tooMany, writeError } from "./error.ts";
import { Exchange, type Host } from "./exchange.ts";
import { feed, type Items } from "./feed.ts";
import { decodeText } from "./json.ts";
import type { Keys } from "./keyed.ts";
import { KEY, PRIORITY, REPEAT } from "./metadata.ts";
import type { Mux, Served, Service } from "./mux.ts";
import type { Peer } from "./peer.ts";
import type { CallStats } from "./stats.ts";
import { BULK_FROM, Inflow, type Priority, packed } from "./stream.ts";
import type { Written } from "./value.ts";
import { ERROR, formed, ITEM, LONG, RESULT, Reader } from "./wire.ts";

const YEAR = 365 * 24 * 3_600_000; // ms

/** What a call that is served needs of its peer. */
export interface ServeHost extends Host {
  readonly peer: Peer;
  readonly servings: Map<number, Serving>;
  readonly served: CallStats;
  /** No new calls are taken: the peer is shutting down. */
  readonly draining: boolean;
  /** Slots taken by streams, of served.open. */
  streaming: number;
  report(error: unknown, method?: string): void;
  settled(): void;
}

/** A call of the other side. It holds its slot until its handler has returned and its answer was taken. */
export class Serving extends Exchange implements Served {
  override readonly shared: ServeHost;
  readonly own = false;
  readonly service: Service;
  readonly #keys: Keys;
  readonly began: number = performance.now();
  /** When the caller's time is over; 0: never. */
  due = 0;
  readonly metadata: ReadonlyMap<string, string>;
  #ran = false; // the handler was called
  #busy = false; // it has not returned
  #argument = 0; // bytes of a long argument that it holds
  #answer = 0; // bytes of a long answer that waits to be taken
  #why: CallError | undefined; // nobody wants the answer any more
  #controller: AbortController | undefined;

  constructor(host: ServeHost, id: number, service: Service, metadata: ReadonlyMap<string, string>, keys: Keys) {
    super(host);
    this.#keys = keys;
    this.shared = host;
    this.id = id;
    this.service = service;
    this.metadata = metadata;
    host.servings.set(id, this);
    host.served.open++;
    if (service.mode) host.streaming++;
    if (service.mode & FEEDS) this.in = new Inflow(this, service.readItem);
  }

  get peer(): Peer {
    return this.shared.peer;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#why) this.#controller.abort(this.#why);
    return this.#controller.signal;
  }

  /** Whether an answer is still to come. */
  get open(): boolean {
    return !this.ended;
  }

  /** Gives the call to its handler, at the end of this turn. */
  begin(form: number, bytes: Uint8Array): void {
    this.#busy = true;
    queueMicrotask(() => {
      if (!this.open) return this.#returned(); // cancelled before it began
      try {
        const key = this.metadata.get(KEY);
        const keys = this.#keys;
        const work = (): Written | Promise<Written> => this.#work(form, bytes);
        const name = `${this.service.name} ${key}`;
        const known = key !== undefined && keys.has(name);
        const written = key === undefined ? work() : keys.once(name, form, bytes, work);
        if (known) this.#ran = true; // for the first call of the key; other arguments than its have thrown
        if (written instanceof Promise) written.then(this.#reply, this.#fail);
        else this.#reply(written);
      } catch (error) {
        this.#fail(error);
      }
    });
  }

  #work(form: number, bytes: Uint8Array): Written | Promise<Written> {
    const { service, shared } = this;
    const argument = service.read(form, new Reader(bytes));
    this.#ran = true;
    const result = service.run(argument, this, this.in as AsyncIterable<unknown>);
    const write = (value: unknown): Written => service.write(value, shared.line.remote.plain);
    if (service.mode & TAKES) return this.#stream(result as Items<unknown>);
    return result instanceof Promise ? result.then(write) : write(result);
  }

  async #stream(items: Items<unknown> | Promise<Items<unknown>>): Promise<Written> {
    await feed(this, await items, this.service.write);
    if (this.#why) throw this.#why;
    return { form: 0, data: "" };
  }

  /** Sends what the handler gave, behind the stream if there is one. */
  readonly #reply = ({ form, data }: Written): void => {
    const host = this.shared;
    const { line, limits } = host;
    const { remote } = line;
    this.#ran = true;
    this.#returned();
    if (!this.open) return;
    line.patience.answered();
    const bytes = packed(data);
    const n = bytes.length;
    const first = formed(RESULT, form);
    if (n > remote.value && n > BULK_FROM) {
      this.#refuse(failure("resource_exhausted", "yes", tooLong(n, remote.value)));
    } else if (n >= BULK_FROM && host.answering + n > limits.assembly) {
      this.#refuse(failure("resource_exhausted", "yes", "too many answers wait to be taken"));
    } else if (n >= BULK_FROM) {
      // The call stays in the table until the last of it was taken, so that it can be cancelled.
      host.answering += this.#answer = n;
      this.flow().queue(first | LONG, bytes);
      this.flow().last = 1;
    } else if (this.out?.pending()) {
      this.out.queue(first, bytes);
      this.out.last = 1;
    } else {
      line.owe(first, this.id, bytes);
      this.#forget(true);
    }
  };

  /** Answers with an error of the handler, or of what came before it. */
  readonly #fail = (error: unknown): void => {
    const executed = this.#ran ? "yes" : "no";
    let e: CallError;
    if (error instanceof CallError) e = restate(error, executed);
    else if (!this.#ran) e = failure("invalid_argument", "no", textOf(error));
    else if (this.#why) e = this.#why;
    else {
      this.shared.report(error, this.service.name);
      e = failure("internal", executed, "the handler failed");
    }
    this.#returned();
    if (!this.open) return;
    this.shared.line.patience.answered();
    if (this.out?.pending()) {
      this.out.queue(ERROR, writeError(e));
      this.out.last = 2;
    } else this.#refuse(e);
  };

  #refuse(error: CallError): void {
    this.shared.line.owe(ERROR, this.id, writeError(error));
    this.#forget(false, error);
  }

  left(): void {} // a handler that reads no more may still answer

  /** The last of an answer that had to wait its turn was taken. */
  answered(failed: boolean): void {
    this.#forget(!failed);
  }

  /** Takes the call out of the table. */
  #forget(good: boolean, error?: CallError): void {
    const host = this.shared;
    host.servings.delete(this.id);
    host.answering -= this.#answer;
    if (good) host.served.succeeded++;
    else host.served.failed++;
    this.close(error);
    this.#freeSlot();
  }

  /** Gives back what the handler held while it ran. That is before its answer goes out. */
  #returned(): void {
    if (!this.#busy) return;
    this.#busy = false;
    this.in?.discard();
    this.shared.assembling -= this.#argument;
    this.#freeSlot();
  }

  #freeSlot(): void {
    const host = this.shared;
    if (this.open || this.#busy) return;
    host.served.open--;
    if (this.service.mode) host.streaming--;
    host.settled();
  }

  /** Ends the handler's work; its answer goes out if the call is still open. */
  stop(why: CallError): void {
    if (this.#why) return;
    this.#why = why;
    this.#controller?.abort(why);
  }

  /** Nobody waits for this call any more. */
  abandon(why: CallError): void {
    if (!this.open) return;
    this.#forget(false, why);
    this.stop(why);
  }

  /** It was cancelled. Tells whether it had brought something. */
  cancel(): boolean {
    const used = (this.out?.items ?? 0) > 0 || (this.out?.last ?? 0) > 0;
    if (this.in) this.in.left = 0; // who cancels sends no more
    this.abandon(failure("cancelled", "yes", "the caller cancelled"));
    return used;
  }

  breakOff(error: CallError): void {
    if (!this.open) return;
    this.#refuse(error);
    this.stop(error);
  }

  protected whole(kind: number, form: number, bytes: Uint8Array): void {
    if (kind === ITEM) this.in?.put(form, bytes, true);
    else {
      this.#argument = bytes.length;
      this.begin(form, bytes);
    }
  }
}

/** What a request says, beside its arguments. */
export interface Request {
  readonly id: number;
  readonly mode: number;
  /** Milliseconds until the caller gives up. */
  readonly left: number;
  readonly metadata: ReadonlyMap<string, string>;
  readonly method: Uint8Array;
}

/** Takes a call, whose arguments are then to be given to it, or says why not. */
export const serve = (host: ServeHost, services: Mux, request: Request): Serving | CallError => {
  const { id, mode, left, metadata, method } = request;
  const { limits, served } = host;
  const no = (code: Code, why: string): CallError => failure(code, "no", why);
  let service: Service | undefined;
  try {
    service = services.find(decodeText(method, 0, method.length));
  } catch {
    // a name that is not UTF-8 is one that is not there
  }
  const key = metadata.get(KEY);
  if (host.draining) return no("unavailable", "this side is shutting down");
  if (!service) return no("unimplemented", "no such method here");
  if (service.mode !== mode) return no("invalid_argument", "the method has another mode");
  const badKey = key !== undefined && !(service.keyed && key.length >= 16 && key.length <= 128);
  if (badKey || (metadata.has(REPEAT) && !service.pure)) {
    return no("failed_precondition", "the method is not declared pure or keyed");
  }
  if (served.open >= limits.calls) return no("resource_exhausted", tooMany("calls", limits.calls));
  if (mode && host.streaming >= limits.streams) return no("resource_exhausted", tooMany("streams", limits.streams));
  const s = new Serving(host, id, service, metadata, services.keys);
  s.priority = Math.sign(Number(metadata.get(PRIORITY)) || 0) as Priority;
  if (left && left < YEAR) {
    s.due = host.now + left;
    host.wakeBy(s.due);
  }
  return s;
};
