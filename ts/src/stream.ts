import { type CallError, failure, tooLong } from "./error.ts";
import type { Flow, Line } from "./line.ts";
import type { Written } from "./value.ts";
import { CREDIT, END, encodeText, formed, ITEM, LONG, MAX_FRAME, OWN, PART, REQUEST, Reader, Writer } from "./wire.ts";

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

/** What a stream needs to know of the connection and of the call that it is part of. */
export interface Ends {
  readonly id: number;
  readonly own: boolean;
  readonly priority: Priority;
  readonly shared: Shared;
  /** The last of what it has to send was taken: the call is answered. */
  answered(failed: boolean): void;
  /** The reader of its stream goes, because of an error if an item made it. */
  left(error?: CallError): void;
}

/** What the streams of a peer have in common. */
export interface Shared {
  line: Line;
  /** Of the last ping, in milliseconds; 0 before the first. */
  roundTrip: number;
  /** Bytes of long values that are arriving or not consumed yet. */
  assembling: number;
  /** What the windows of all streams have grown by. */
  grown: number;
  /** Somebody waits for the other side: idle streams are to be looked for. */
  watchIdle(): void;
}

/** Bytes that wait in a flow: a frame, or a value to be cut into parts. */
interface Piece {
  first: number;
  data: Uint8Array;
  at: number;
  begun: boolean;
}

/** Text in UTF-8 at once, if it may be bulk. */
export const packed = (data: string | Uint8Array): string | Uint8Array =>
  data.length * 3 < BULK_FROM ? data : bytesOf(data);

const bytesOf = (data: string | Uint8Array): Uint8Array => (typeof data === "string" ? encodeText(data) : data);

/** The bulk that one side of a call sends: items of its stream, and values too long to go with the calls. */
export class Outflow implements Flow {
  queued = false;
  items = 0;
  /** Credit frames that came. */
  credits = 0;
  /** Bytes that wait here. */
  waiting = 0;
  /** With what lies here the call is answered: 1 well, 2 with an error. */
  last: 0 | 1 | 2 = 0;
  over = false;
  credit: number;
  /** Called when the call is over: who feeds the flow may stop. */
  stop: (() => void) | undefined;
  readonly #x: Ends;
  #pieces: Piece[] = [];
  #surplus = 0; // 0, or below: what it has sent beyond its share
  #wake: (() => void) | undefined;
  #ended = false;
  #seen = 0;
  #since = 0;

  constructor(x: Ends, credit: number) {
    this.#x = x;
    this.credit = credit;
    x.shared.watchIdle();
  }

  pending(): boolean {
    return this.#pieces.length > 0;
  }

  /** Whether the rest of a request lies here: it goes before all else. */
  arguments(): boolean {
    return ((this.#pieces[0]?.first ?? 0) & 15) === REQUEST;
  }

  /** Queues a frame, or a long value, of which begun says that its first frame is on its way. */
  queue(first: number, data: string | Uint8Array, begun = false): void {
    const b = bytesOf(data);
    this.#pieces.push({ first, data: b, at: 0, begun });
    this.waiting += b.length;
    this.#x.shared.line.enqueue(this);
  }

  take(to: Writer, turn: number): number {
    let bulk = 0;
    const { priority, id, own } = this.#x;
    this.#surplus += priority > 0 ? turn : priority < 0 ? turn / 64 : turn / 8;
    for (let p = this.#pieces[0]; p && this.#surplus > 0; p = this.#pieces[0]) {
      const before = to.at;
      const long = p.first >= LONG;
      const n = long ? Math.min(p.data.length - p.at, Math.floor(turn) - 5) : p.data.length;
      const { data, at, begun } = p;
      let size = n;
      to.wrap(
        begun ? PART | (own ? OWN : 0) : p.first,
        id,
        () => {
          const start = to.at;
          if (long && !begun) to.u(data.length);
          to.put(at || n < data.length ? data.subarray(at, at + n) : data);
          size = to.at - start;
        },
        n,
      );
      if (long || (p.first & 15) === ITEM) bulk += size;
      p.begun = true;
      p.at += n;
      this.waiting -= n;
      if (p.at === data.length) this.#pieces.shift();
      this.#surplus -= to.at - before;
    }
    this.#surplus = Math.min(this.#surplus, 0);
    if (!this.#pieces.length && this.last && !this.over) this.#x.answered(this.last > 1);
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
    if (b.length > most && b.length > MAX_FRAME) {
      throw failure("resource_exhausted", "maybe", tooLong(b.length, most));
    }
    this.credit -= b.length + ITEM_COST;
    this.items++;
    this.queue(formed(ITEM | (this.#x.own ? OWN : 0) | (b.length > MAX_FRAME ? LONG : 0), form), b);
  }

  /** Says that this was all. */
  end(): void {
    if (this.over) return;
    this.#ended = true;
    const w = new Writer();
    w.u(this.items);
    this.queue(END | (this.#x.own ? OWN : 0), w.copy(0, w.at));
  }

  addCredit(n: number): void {
    this.credit += n;
    if (this.credit > MAX_CREDIT) throw new Error("credit overflows");
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

  /** For how long the reader has made no room for another item. */
  stalled(now: number): number {
    if (this.over || this.#ended || this.last || this.credit > 0 || this.items !== this.#seen) {
      this.#seen = this.items;
      this.#since = now;
    }
    return now - this.#since;
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

interface Want<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(error: unknown): void;
}

/** A stream that comes in: items that wait for their reader. */
export class Inflow implements AsyncIterableIterator<unknown, undefined> {
  items = 0;
  /** The sender's end is here. */
  ended = false;
  /** Nothing more comes. */
  over = false;
  /** Bytes that wait here. */
  waiting = 0;
  /** What the sender may still send. */
  left: number = FIRST_WINDOW;
  readonly #x: Ends;
  readonly #read: (form: number, r: Reader) => unknown;
  #queue: Item[] = [];
  #wants: Want<unknown>[] = [];
  #window = FIRST_WINDOW;
  #eaten = 0; // cost of items read whose credit was not given back yet
  #hungry = false; // the reader has waited since the last credit,
  #gave = performance.now(); // which was given then
  #error: CallError | undefined;

  constructor(x: Ends, read: (form: number, r: Reader) => unknown) {
    this.#x = x;
    this.#read = read;
  }

  /** Checks that an item may begin: it is taken whole if there is any credit left. */
  begin(): void {
    if (this.ended) throw new Error("an item behind its stream's end");
    if (this.left <= 0) throw new Error("an item beyond its stream's credit");
  }

  /** Takes a whole item in. */
  put(form: number, bytes: Uint8Array, long: boolean): void {
    const item = { form, bytes, long };
    this.left -= bytes.length + ITEM_COST;
    this.items++;
    if (this.over) return this.#dropped(item);
    this.#queue.push(item);
    this.waiting += bytes.length;
    this.#deliver();
  }

  /** Takes the sender's end in. */
  end(items: number): void {
    if (this.ended) throw new Error("a stream ends twice");
    if (items !== this.items) throw new Error(`a stream of ${items} items ends, ${this.items} came`);
    this.ended = true;
    if (!this.#x.own) this.over = true; // a caller's reader also waits for the call's result
    this.#deliver();
  }

  /**
   * The call is over. What lies here may still be read after a good end or an error of the other side;
   * after a cancel nobody wants it.
   */
  finish(error?: CallError): void {
    this.#x.shared.grown -= this.#window - FIRST_WINDOW;
    this.#window = FIRST_WINDOW;
    const cancelled = error?.code === "cancelled" || error?.code === "deadline_exceeded";
    if (!this.over || (cancelled && this.#queue.length)) {
      this.#error = error ?? (this.ended ? undefined : failure("cancelled", "yes", "the call has ended"));
    }
    this.over = true;
    if (cancelled) this.discard();
    this.#deliver();
  }

  /** Drops what lies here. */
  discard(): void {
    this.over = true;
    for (const item of this.#queue) this.#dropped(item);
    this.#queue = [];
    this.waiting = 0;
    this.#deliver();
  }

  /** An item is no longer kept. */
  #dropped({ bytes, long }: Item): void {
    if (long) this.#x.shared.assembling -= bytes.length;
  }

  next(): Promise<IteratorResult<unknown, undefined>> {
    return new Promise((resolve, reject) => {
      this.#wants.push({ resolve, reject });
      this.#deliver();
    });
  }

  /** Ends the stream: nobody wants more. If this is the answer to a call that has not ended, it is cancelled. */
  cancel(): void {
    this.#x.left();
    this.#error = undefined;
    this.discard();
  }

  async return(): Promise<IteratorResult<unknown, undefined>> {
    this.cancel();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #deliver(): void {
    while (this.#wants.length) {
      const item = this.#queue.shift();
      if (!item && !this.over) {
        this.#hungry = true;
        return;
      }
      const want = this.#wants.shift() as Want<unknown>;
      if (item) this.#hand(item, want);
      else if (this.#error) {
        want.reject(this.#error);
        this.#error = undefined; // an iterator fails once
      } else want.resolve({ done: true, value: undefined });
    }
  }

  #hand(item: Item, want: Want<unknown>): void {
    const n = item.bytes.length;
    this.waiting -= n;
    this.#dropped(item);
    this.#credit(n + ITEM_COST);
    try {
      want.resolve({ done: false, value: this.#read(item.form, new Reader(item.bytes)) });
    } catch (cause) {
      const code = this.#x.own ? "data_loss" : "invalid_argument";
      const error = failure(code, "yes", "a wrong item", cause);
      this.discard();
      this.#x.left(error);
      this.#error = undefined;
      want.reject(error);
    }
  }

  /**
   * Gives the sender back what was read, in large enough portions, and more than that if the window is
   * what holds the stream up: all that came was read, and at this pace it lasts no longer than two
   * round trips.
   */
  #credit(cost: number): void {
    this.#eaten += cost;
    if (this.over || this.#eaten < this.#window / 4) return;
    const { shared, own, id } = this.#x;
    const now = performance.now();
    const lasts = ((now - this.#gave) * this.#window) / this.#eaten;
    let grant = this.#eaten;
    const grow = this.#window;
    if (
      this.#hungry &&
      lasts <= 2 * Math.max(shared.roundTrip, NEAR_TRIP) &&
      grow <= (GROWN_LIMIT - shared.grown) / 2
    ) {
      shared.grown += grow;
      this.#window += grow;
      grant += grow;
    }
    this.#hungry = false;
    this.#gave = now;
    this.#eaten = 0;
    this.left += grant;
    const { line } = shared;
    const { at } = line.next();
    line.out.numbers(CREDIT | (own ? OWN : 0), id, grant);
    line.owed += line.out.at - at;
  }
}
