import type { Core } from "./core.ts";
import { CallError, type Code, failure, restate, textOf, tooLong, tooMany, writeError } from "./error.ts";
import { Exchange, FEEDS, TAKES } from "./exchange.ts";
import { feed, type Items } from "./feed.ts";
import { decodeText } from "./json.ts";
import { KEY, PRIORITY, REPEAT } from "./metadata.ts";
import type { Mux, Served, Service } from "./mux.ts";
import type { Peer } from "./peer.ts";
import { BULK_FROM, Inflow, type Priority, packed } from "./stream.ts";
import { after } from "./time.ts";
import { readParams, readValue, type Written, writeValue } from "./value.ts";
import { ERROR, formed, LONG, RESULT, Reader } from "./wire.ts";

const YEAR = 365 * 24 * 3_600_000; // ms

/** A call of the other side. It holds its slot until its handler has returned and its answer was taken. */
export class Serving extends Exchange implements Served {
  readonly own: number = 0;
  readonly began: number = performance.now();
  readonly peer: Peer;
  readonly metadata: ReadonlyMap<string, string>;
  readonly #service: Service;
  #ran = false; // the handler was called
  #holders = 1; // of its slot: the call while it is open, its handler until it has returned
  #argument = 0; // bytes of a long argument that it holds
  #answer = 0; // bytes of a long answer that waits to be taken
  #why: CallError | undefined; // nobody wants the answer any more
  #controller: AbortController | undefined;

  constructor(core: Core, service: Service, { id, left, metadata }: Request) {
    super(core);
    this.id = id;
    this.peer = core.peer;
    this.metadata = metadata;
    this.priority = Math.sign(Number(metadata.get(PRIORITY)) || 0) as Priority;
    this.#service = service;
    core.servings.set(id, this);
    core.stats.in.open++;
    if (service.mode) core.streaming++;
    if (service.mode & FEEDS)
      this.in = new Inflow(this, (form, r) => readValue(form, r, service.shape.in, service.shape.inRaw));
    if (left && left < YEAR) {
      this.timer = after(left, () => this.stop(failure("deadline_exceeded", "yes", "the handler's time was over")));
    }
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#why) this.#controller.abort(this.#why);
    return this.#controller.signal;
  }

  /** Gives the call to its handler, at the end of this turn. */
  begin(form: number, bytes: Uint8Array): void {
    this.#holders++;
    queueMicrotask(() => {
      if (this.ended) return this.#returned(); // cancelled before it began
      const { name, keyed } = this.#service;
      const key = this.metadata.get(KEY);
      let first = key === undefined;
      const work = (): Written | Promise<Written> => {
        first = true;
        return this.#work(form, bytes);
      };
      let written: Written | Promise<Written> | undefined;
      try {
        written = first ? work() : keyed?.once(`${name} ${key}`, form, bytes, work);
        this.#ran ||= !first; // its result is that of the first with this key
      } catch (error) {
        return this.#fail(error);
      }
      if (written instanceof Promise) written.then(this.#reply, this.#fail);
      else this.#reply(written as Written);
    });
  }

  #work(form: number, bytes: Uint8Array): Written | Promise<Written> {
    const { mode, shape, run } = this.#service;
    const argument = readParams(form, new Reader(bytes), shape.params ?? {}, shape.args);
    this.#ran = true;
    const result = run(argument, this, this.in?.stream as AsyncIterable<unknown>);
    if (mode & TAKES) return this.#stream(result as Items<unknown>);
    const write = (value: unknown): Written => writeValue(value, this.core.line.remote.json, shape.resultRaw);
    return result instanceof Promise ? result.then(write) : write(result);
  }

  async #stream(items: Items<unknown> | Promise<Items<unknown>>): Promise<Written> {
    const { outRaw } = this.#service.shape;
    await feed(this, { items: await items, write: (value, plain) => writeValue(value, plain, outRaw) });
    if (this.#why) throw this.#why;
    return { form: 0, data: "" };
  }

  /** Sends what the handler gave, behind the stream if there is one. */
  readonly #reply = ({ form, data }: Written): void => {
    const { line, limits, answering } = this.core;
    const most = line.remote.value;
    const bytes = packed(data);
    const n = bytes.length;
    this.#ran = true;
    if (n < BULK_FROM) this.#send(formed(RESULT, form), bytes);
    else if (n > most || answering + n > limits.assembly) {
      this.#fail(
        failure("resource_exhausted", "yes", n > most ? tooLong(n, most) : "too many answers wait to be taken"),
      );
    } else this.#send(formed(RESULT | LONG, form), bytes);
  };

  /** Answers with an error of the handler, or of what came before it. */
  readonly #fail = (error: unknown): void => {
    const ran = this.#ran ? "yes" : "no";
    let e = this.#why;
    if (error instanceof CallError) e = restate(error, ran);
    else if (!this.#ran) e = failure("invalid_argument", ran, textOf(error));
    else if (!e) {
      this.core.report(error, this.#service.name);
      e = failure("internal", ran, "the handler failed");
    }
    this.#send(ERROR, writeError(e), e);
  };

  /** Answers, after what waits of the stream. */
  #send(first: number, data: string | Uint8Array, error?: CallError): void {
    this.#returned();
    if (this.ended) return;
    const { core } = this;
    core.line.patience.grow();
    if (first < LONG && !this.out?.pending()) {
      core.line.owe(first, this.id, data);
      return this.#forget(error);
    }
    // The call stays in the table until the last of it was taken, so that it can be cancelled.
    const out = this.flow();
    core.answering += this.#answer = data.length;
    out.last = () => this.#forget(error);
    out.queue(first, data);
    this.watch();
  }

  /** Takes the call out of the table. */
  #forget(error?: CallError): void {
    const { core } = this;
    core.servings.delete(this.id);
    core.answering -= this.#answer;
    core.stats.in[error ? "failed" : "succeeded"]++;
    this.close(error);
    this.#freeSlot();
  }

  /** Gives back what the handler held while it ran. That is before its answer goes out. */
  #returned(): void {
    this.in?.discard();
    this.core.assembling -= this.#argument;
    this.#freeSlot();
  }

  #freeSlot(): void {
    const { core } = this;
    if (--this.#holders) return;
    core.stats.in.open--;
    if (this.#service.mode) core.streaming--;
    core.settled();
  }

  /** Ends the handler's work; its answer goes out if the call is still open. */
  stop(why: CallError): void {
    this.#why ??= why;
    this.#controller?.abort(this.#why);
  }

  /** Nobody waits for this call any more. */
  abandon(why: CallError): void {
    if (this.ended) return;
    this.#forget(why);
    this.stop(why);
  }

  /** It was cancelled. Tells whether it had brought something. */
  cancel(): boolean {
    const { in: i, out } = this;
    const used = (out?.items ?? 0) > 0 || out?.last !== undefined;
    if (i) i.left = 0; // who cancels sends no more
    this.abandon(failure("cancelled", "yes", "the caller cancelled"));
    return used;
  }

  giveUp(error: CallError): void {
    if (this.ended) return;
    this.core.line.owe(ERROR, this.id, writeError(error));
    this.abandon(error);
  }

  whole(form: number, bytes: Uint8Array): void {
    this.#argument = bytes.length;
    this.begin(form, bytes);
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
export const serve = (core: Core, services: Mux, request: Request): Serving | CallError => {
  const { mode, metadata, method } = request;
  const { limits, stats } = core;
  const no = (code: Code, why: string): CallError => failure(code, "no", why);
  let service: Service | undefined;
  try {
    service = services.services.get(decodeText(method));
  } catch {
    // a name that is not UTF-8 is one that is not there
  }
  const key = metadata.get(KEY);
  if (core.draining) return no("unavailable", "this side is shutting down");
  if (!service) return no("unimplemented", "no such method here");
  if (service.mode !== mode) return no("invalid_argument", "the method has another mode");
  const badKey = key !== undefined && !(service.keyed && key.length >= 16 && key.length <= 128);
  if (badKey || (metadata.has(REPEAT) && !service.pure)) {
    return no("failed_precondition", "the method is not declared pure or keyed");
  }
  if (stats.in.open >= limits.calls) return no("resource_exhausted", tooMany("calls", limits.calls));
  if (mode && core.streaming >= limits.streams) return no("resource_exhausted", tooMany("streams", limits.streams));
  return new Serving(core, service, request);
};
