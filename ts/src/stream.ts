import { type CallError, failure, tooLong } from "./error.ts";
import type { Exchange } from "./exchange.ts";
import type { Flow } from "./line.ts";
import type { Written } from "./value.ts";
import { CREDIT, END, encodeText, formed, ITEM, joined, LONG, MAX_FRAME, PART, Reader, type Writer } from "./wire.ts";

/** What an item costs in credit beyond its bytes. */
export const ITEM_COST = 32;
/** The credit that each stream of the other side starts with. */
export const FIRST_WINDOW: number = 32 * 1024;
/** What all windows of a connection may grow by; each may take half of what is left. */
const GROWN_LIMIT = 16 * 1024 * 1024;
const MAX_CREDIT = 2 ** 40;
/** So many bytes of items wait in a flow before its writer does. */
const SEND_AHEAD = 64 * 1024;
/** Close by, a round trip is mostly waiting for a processor, of which a ping at a quiet moment knows nothing. */
const NEAR_TRIP = 0.5; // ms

/** From this length on a value is bulk: sent in turns with the streams, behind the calls. */
export const BULK_FROM = 8192;

/** -1: an eighth of the share of others in the connection while there is more to send than it takes; 1: eight times as much. */
export type Priority = -1 | 0 | 1;

/** Bytes that wait in a flow: a frame, or what is left of a long value. */
interface Piece {
  first: number;
  data: Uint8Array;
  /** The rest of a request. */
  request: boolean;
}

/** Text in UTF-8 at once, if it may be bulk. */
export const packed = (data: string | Uint8Array): string | Uint8Array =>
  data.length * 3 < BULK_FROM ? data : bytesOf(data);

const bytesOf = (data: string | Uint8Array): Uint8Array => (typeof data === "string" ? encodeText(data) : data);

/** The bulk that one side of a call sends: items of its stream, and values too long to go with the calls. */
export class Outflow implements Flow {
  items = 0;
  /** Credit frames that came. */
  credits = 0;
  /** Bytes that wait here. */
  waiting = 0;
  /** What lies here ends the call: called when the last of it was taken. */
  last: (() => void) | undefined;
  over = false;
  credit: number;
  /** Called when the call is over: who feeds the flow may stop. */
  stop: (() => void) | undefined;
  readonly #x: Exchange;
  #pieces: Piece[] = [];
  #surplus = 0; // 0, or below: what it has sent beyond its share
  #wake: (() => void) | undefined;
  #ended = false;

  constructor(x: Exchange, credit: number) {
    this.#x = x;
    this.credit = credit;
  }

  pending(): boolean {
    return this.#pieces.length > 0;
  }

  /** Whether the rest of a request lies here: it goes before all else. */
  arguments(): boolean {
    return this.#pieces[0]?.request === true;
  }

  /** Whether its reader must make room before another item can be sent. */
  starves(): boolean {
    return !this.over && !this.#ended && !this.last && this.credit <= 0;
  }

  /** Queues a frame, a long value, or what is left of a request. */
  queue(first: number, data: string | Uint8Array, request = false): void {
    const b = bytesOf(data);
    this.#pieces.push({ first, data: b, request });
    this.waiting += b.length;
    this.#x.core.line.enqueue(this);
  }

  take(to: Writer, turn: number): number {
    const { priority, id, own } = this.#x;
    let bulk = 0;
    this.#surplus += turn * 8 ** (priority - 1);
    for (let p = this.#pieces[0]; p && this.#surplus > 0; p = this.#pieces[0]) {
      const { first, data } = p;
      const from = to.at;
      const kind = first & 15;
      const cut = first >= LONG || kind === PART;
      const part = cut ? data.subarray(0, Math.floor(turn) - 5) : data;
      const size = first < LONG ? to.frame(first, id, part) : to.frame(first, id, data.length, part);
      if (cut || kind === ITEM) bulk += size;
      p.first = PART | own;
      p.data = data.subarray(part.length);
      if (!p.data.length) this.#pieces.shift();
      this.waiting -= part.length;
      this.#surplus -= to.at - from;
    }
    this.#surplus = Math.min(this.#surplus, 0);
    if (!this.pending() && !this.over) this.last?.();
    this.#ready();
    return bulk;
  }

  /** Waits until an item may be sent. False says that the call has ended: nobody wants more. */
  async room(): Promise<boolean> {
    while (!this.over && (this.credit <= 0 || this.waiting >= SEND_AHEAD)) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return !this.over;
  }

  /** Queues an item, when there is room, for a side that takes so many bytes. */
  item({ form, data }: Written, most: number): void {
    const b = bytesOf(data);
    const n = b.length;
    if (n > most && n > MAX_FRAME) throw failure("resource_exhausted", "maybe", tooLong(n, most));
    this.credit -= n + ITEM_COST;
    this.items++;
    this.queue(formed(ITEM | this.#x.own | (n > MAX_FRAME ? LONG : 0), form), b);
    if (this.credit <= 0) this.#x.watch();
  }

  /** Says that this was all. */
  end(): void {
    this.#ended = true;
    this.queue(END | this.#x.own, joined(this.items));
    this.#x.watch();
  }

  addCredit(n: number): void {
    this.credit += n;
    if (this.credit > MAX_CREDIT) throw new Error("too much");
    if (!this.#x.long) this.#x.watch();
    this.#ready();
  }

  /** The call is over: drops what was not sent. */
  finish(): void {
    this.over = true;
    this.#pieces = [];
    this.waiting = 0;
    this.stop?.();
    this.#ready();
  }

  #ready(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}

/** An item that nobody has read. */
interface Item {
  form: number;
  bytes: Uint8Array;
  /** It counts as a long value until it is read. */
  long: boolean;
}

/** A stream of items that come, in order. One reader reads it; leaving a loop over it early cancels the call. */
export interface Stream<T> extends AsyncIterableIterator<T, undefined> {
  /** Ends it: nobody wants more. */
  cancel(): void;
}

/** A stream that comes in: items that wait for their reader. */
export class Inflow {
  items = 0;
  /** The sender's end is here. */
  ended = false;
  /** Nothing more comes. */
  over = false;
  /** Bytes that wait here. */
  waiting = 0;
  /** What the sender may still send. */
  left: number = FIRST_WINDOW;
  readonly #x: Exchange;
  readonly #read: (form: number, r: Reader) => unknown;
  /** What the reader reads. A generator's own return would wait for an item that may never come. */
  readonly stream: Stream<unknown> = Object.assign(this.#values(), {
    cancel: () => this.#cancel(),
    return: async () => {
      this.#cancel();
      return { done: true, value: undefined } as const;
    },
  });
  #queue: Item[] = [];
  #wake: (() => void) | undefined;
  #window = FIRST_WINDOW;
  #eaten = 0; // cost of items read whose credit was not given back yet
  #hungry = false; // the reader has waited since the last credit,
  #gave = performance.now(); // which was given then
  #error: CallError | undefined;

  constructor(x: Exchange, read: (form: number, r: Reader) => unknown) {
    this.#x = x;
    this.#read = read;
  }

  /** Checks that an item may begin: it is taken whole if there is any credit left. */
  begin(): void {
    if (this.ended || this.left <= 0) throw new Error(this.ended ? "behind the end" : "no credit");
  }

  /** Takes a whole item in. */
  put(form: number, bytes: Uint8Array, long: boolean): void {
    this.left -= bytes.length + ITEM_COST;
    this.items++;
    this.waiting += bytes.length;
    this.#queue.push({ form, bytes, long });
    if (this.over) this.discard();
    this.#wake?.();
  }

  /** Takes the sender's end in. */
  end(items: number): void {
    if (this.ended || items !== this.items) throw new Error(`${this.items} items came`);
    this.ended = true;
    if (!this.#x.own) this.over = true; // a caller's reader also waits for the call's result
    this.#wake?.();
  }

  /**
   * The call is over. What lies here may still be read after a good end or an error of the other side;
   * after a cancel nobody wants it.
   */
  finish(error?: CallError): void {
    this.#x.core.grown -= this.#window - FIRST_WINDOW;
    this.#window = FIRST_WINDOW;
    const cancelled = error?.code === "cancelled" || error?.code === "deadline_exceeded";
    if (!this.over || (cancelled && this.#queue.length)) {
      this.#error = error ?? (this.ended ? undefined : failure("cancelled", "yes", "the call has ended"));
    }
    this.over = true;
    if (cancelled) this.discard();
    this.#wake?.();
  }

  /** Drops what lies here. */
  discard(): void {
    this.over = true;
    while (this.#shift());
    this.#wake?.();
  }

  /** Takes the next item out: it is no longer kept. */
  #shift(): Item | undefined {
    const item = this.#queue.shift();
    if (!item) return undefined;
    const n = item.bytes.length;
    this.waiting -= n;
    if (item.long) this.#x.core.assembling -= n;
    return item;
  }

  /** Nobody wants more. If this is the answer to a call that has not ended, it is cancelled. */
  #cancel(): void {
    this.#leave(failure("cancelled", "no", "the reader left"));
    this.#error = undefined;
    this.discard();
  }

  /** The reader goes. A handler that reads no more may still answer. */
  #leave(error: CallError): void {
    if (this.#x.own) this.#x.giveUp(error);
  }

  async *#values(): AsyncGenerator<unknown, undefined> {
    for (;;) {
      const item = this.#shift();
      if (item) {
        this.#credit(item.bytes.length + ITEM_COST);
        yield this.#value(item);
      } else if (!this.over) {
        this.#hungry = true;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      } else if (this.#error) throw this.#error;
      else return undefined;
    }
  }

  #value({ form, bytes }: Item): unknown {
    try {
      return this.#read(form, new Reader(bytes));
    } catch (cause) {
      const error = failure(this.#x.own ? "data_loss" : "invalid_argument", "yes", "a wrong item", cause);
      this.#leave(error);
      this.discard();
      throw error;
    }
  }

  /**
   * Gives the sender back what was read, in large enough portions, and more than that if the window is
   * what holds the stream up: all that came was read, and at this pace it lasts no longer than two
   * round trips.
   */
  #credit(cost: number): void {
    this.#eaten += cost;
    let grant = this.#eaten;
    const window = this.#window;
    if (this.over || grant < window / 4) return;
    const { core, own, id } = this.#x;
    const now = performance.now();
    const lasts = ((now - this.#gave) * window) / grant;
    const pace = 2 * Math.max(core.stats.roundTrip, NEAR_TRIP);
    if (this.#hungry && lasts <= pace && window <= (GROWN_LIMIT - core.grown) / 2) {
      core.grown += window;
      this.#window += window;
      grant += window;
    }
    this.#hungry = false;
    this.#gave = now;
    this.#eaten = 0;
    this.left += grant;
    core.line.owe(CREDIT | own, id, grant);
  }
}
