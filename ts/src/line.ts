import type { Conn } from "./conn.ts";
import { Window } from "./window.ts";
import { ACK, MARK, MAX_FRAME, Writer } from "./wire.ts";

const CUT = 256 * 1024; // where queued frames are cut into another message, well below what every peer takes
const HIGH = 1024 * 1024; // so many bytes may wait in the connection before all waits here,
const HIGH_BULK = 128 * 1024; // so many before bulk does: what is there, small calls would wait behind
const AGAIN = 20; // ms after which a connection that was full is looked at once more

/** What one call has to send as bulk. */
export interface Flow {
  /** It is among those that wait for their turn. */
  queued: boolean;
  pending(): boolean;
  /** Writes what it may send when it is its turn, in frames of about so many bytes, and returns how many are bulk. */
  take(to: Writer, turn: number): number;
}

/**
 * The Line is what goes out over one connection: control frames and calls first, then bulk, flow by
 * flow in turns, as far as the window allows. All that is queued in one turn of the event loop makes
 * one message.
 */
export class Line {
  /** Frames of calls and control, whole, in order. */
  readonly out: Writer = new Writer();
  readonly window: Window = new Window();
  /** How often out was sent: what was queued in an earlier batch may have arrived. */
  batch = 0;
  /** Bytes of out that the other side caused. */
  owed = 0;
  /** Bulk bytes that came. */
  received = 0;
  /** Marks set here, and acks that came. */
  marks = 0;
  acks = 0;
  /** Since when the connection takes nothing, although much waits in it; 0 if it does. */
  stuckSince = 0;

  private conn: Conn | undefined;
  private open = false; // the other side's hello is here: all may go out
  private scheduled = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private stuckAt = 0;
  private cuts: number[] = [];
  private ready: Flow[] = [];
  private ackOf = -1; // so many bulk bytes were before its last mark; -1: it does not ask
  private ackAt = 0;
  private readonly sending: (message: Uint8Array) => void;
  private readonly flushed: () => void;

  /** The first function is shown each message that is sent, the second called when some were. */
  constructor(sending: (message: Uint8Array) => void, flushed: () => void) {
    this.sending = sending;
    this.flushed = flushed;
  }

  /** Gives the line its connection, with the first message. */
  attach(conn: Conn, hello: Uint8Array): void {
    this.conn = conn;
    this.send(hello);
  }

  /** The other side is there: what waits goes out. */
  begin(): void {
    this.open = true;
    this.kick();
  }

  /** Drops what waits, says a last word if there is one, and closes the connection. */
  end(word?: Uint8Array): void {
    clearTimeout(this.timer);
    if (word) this.send(word);
    this.conn?.close();
    this.conn = undefined;
    this.out.clear();
    this.ready = [];
  }

  get connected(): boolean {
    return this.conn !== undefined;
  }

  /** The connection itself, for who wants it mended. */
  get beneath(): Conn | undefined {
    return this.conn;
  }

  /** Bytes that wait to leave: here, and in the connection. */
  get waiting(): number {
    return this.out.at + (this.conn?.buffered ?? 0);
  }

  /** Whether all that was queued has been sent. */
  get idle(): boolean {
    return !this.out.at && !this.ready.length;
  }

  /** Where the next frame of a call or of control is to be written; it goes out at the end of this turn. */
  next(): Writer {
    if (this.out.at - (this.cuts.at(-1) ?? 0) > CUT) this.cuts.push(this.out.at);
    this.kick();
    return this.out;
  }

  /** Queues a control frame. */
  control(first: number, id: number, payload?: Uint8Array | string): void {
    this.next().frame(first, id, payload);
  }

  /** Queues a control frame that the other side caused. */
  owe(first: number, id: number, payload?: Uint8Array | string): void {
    const before = this.next().at;
    this.out.frame(first, id, payload);
    this.owed += this.out.at - before;
  }

  /** Gives a flow its turns. */
  enqueue(flow: Flow): void {
    if (!flow.queued) {
      flow.queued = true;
      this.ready.push(flow);
    }
    this.kick();
  }

  /** It asks for an ack. Tells whether bulk had come since it last did. */
  marked(): boolean {
    const fresh = this.received !== this.lastMark;
    this.ackOf = this.lastMark = this.received;
    this.ackAt = Math.floor(performance.now() * 1000);
    this.kick();
    return fresh;
  }
  private lastMark = 0;

  /** Sees to it that what waits is sent at the end of this turn of the event loop. */
  kick(): void {
    if (this.scheduled || !this.open) return;
    this.scheduled = true;
    queueMicrotask(() => {
      this.scheduled = false;
      this.flush();
      this.flushed();
    });
  }

  private flush(): void {
    const conn = this.conn;
    if (!conn) return;
    if (conn.buffered > HIGH) {
      this.again();
      if (!this.stuckSince || conn.buffered < this.stuckAt) this.stuckSince = performance.now();
      this.stuckAt = conn.buffered;
      return;
    }
    this.stuckSince = 0;
    const { out, cuts } = this;
    if (this.ackOf >= 0) {
      out.wrap(
        ACK,
        0,
        () => {
          out.u(this.ackOf);
          out.u(this.ackAt);
        },
        12,
      );
      this.ackOf = -1;
    }
    if (out.at) {
      let from = 0;
      for (const cut of [...cuts, out.at]) {
        this.send(out.copy(from, cut));
        from = cut;
      }
      this.owed = 0;
      this.cuts = [];
      this.batch++;
      out.clear();
    }
    this.flushBulk(conn);
  }

  private flushBulk(conn: Conn): void {
    const { window, out } = this;
    while ((this.ready.length && window.room() > 0) || window.due()) {
      if (conn.buffered > HIGH_BULK) {
        if (!window.awaits()) this.again(); // else the ack brings us back
        return;
      }
      const portion = window.portion();
      const turn = Math.min(portion, MAX_FRAME);
      while (this.ready.length && out.at < portion - turn / 2 && window.room() > 0) {
        const flow = this.ready.shift() as Flow;
        flow.queued = false;
        window.sent += flow.take(out, turn);
        if (flow.pending()) this.enqueue(flow);
      }
      if (window.due()) {
        window.mark(performance.now());
        this.marks++;
        out.frame(MARK, 0);
      }
      if (out.at) this.send(out.copy(0, out.at));
      out.clear();
    }
    if (window.room() > 0) window.starve();
  }

  private again(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.kick();
    }, AGAIN);
  }

  private send(message: Uint8Array): void {
    this.sending(message);
    this.conn?.send(message);
  }
}
