import type { Conn } from "./conn.ts";
import { type Hello, usual } from "./hello.ts";
import { type Patience, patience } from "./limit.ts";
import { type Window, window } from "./window.ts";
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
 * The Line is one connection: what goes out over it, and what is known of the other side. Control
 * frames and calls go first, then bulk, flow by flow in turns, as far as the window allows. All that is
 * queued in one turn of the event loop makes one message.
 */
export interface Line {
  /** Frames of calls and control, whole, in order. */
  readonly out: Writer;
  readonly window: Window;
  readonly patience: Patience;
  /** What the other side said of itself; then all may go out. */
  remote: Hello;
  open: boolean;
  /** The highest id of its requests, and how often it made no sense. */
  lastServed: number;
  strikes: number;
  /** It takes no more calls. */
  goneAway: boolean;
  /** How often out was sent: what was queued in an earlier batch may have arrived. */
  batch: number;
  /** Bytes of out that the other side caused. */
  owed: number;
  /** Bulk bytes that came. */
  received: number;
  /** Marks that were not answered; below 0 acks came that nobody asked for. */
  marks: number;
  /** Since when the connection takes nothing, although much waits in it; 0 if it does. */
  stuckSince: number;
  /** The connection; undefined before the beginning and after the end. */
  conn: Conn | undefined;

  /** Says a first or a last word, past all that waits. */
  say(message: Uint8Array): void;
  /** Drops what waits, and closes the connection. */
  end(): void;
  /** Bytes that wait to leave: here, and in the connection. */
  waiting(): number;
  /** Whether all that was queued has been sent. */
  idle(): boolean;
  /** Where the next frame of a call or of control is to be written; it goes out at the end of this turn. */
  next(): Writer;
  /** Queues a control frame that the other side caused. */
  owe(first: number, id: number, payload: Uint8Array | string): void;
  /** Gives a flow its turns. */
  enqueue(flow: Flow): void;
  /** The other side asks for an ack. Tells whether bulk had come since it last did. */
  marked(): boolean;
  /** Sees to it that what waits is sent at the end of this turn of the event loop. */
  kick(): void;
}

/** Makes a line. The first function is shown each message that is sent, the second called when some may have been. */
export const newLine = (sending: (message: Uint8Array) => void, flushed: () => void): Line => {
  const out = new Writer();
  const w = window();
  let cuts: number[] = [];
  let ready: Flow[] = [];
  let scheduled = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stuckAt = 0;
  let lastMark = 0;
  let ackDue = false;
  let ackAt = 0;

  const again = (): void => {
    timer ??= setTimeout(() => {
      timer = undefined;
      line.kick();
    }, AGAIN);
  };

  const flush = (conn: Conn): void => {
    const { buffered } = conn;
    if (buffered > HIGH) {
      again();
      if (!line.stuckSince || buffered < stuckAt) line.stuckSince = performance.now();
      stuckAt = buffered;
      return;
    }
    line.stuckSince = 0;
    if (ackDue) out.numbers(ACK, 0, lastMark, ackAt);
    ackDue = false;
    if (out.at) {
      let from = 0;
      for (const cut of [...cuts, out.at]) {
        line.say(out.copy(from, cut));
        from = cut;
      }
      out.clear();
      cuts = [];
      line.owed = 0;
      line.batch++;
    }
    flushBulk(conn);
  };

  const flushBulk = (conn: Conn): void => {
    while ((ready.length && w.room() > 0) || w.due()) {
      if (conn.buffered > HIGH_BULK) {
        if (!w.awaits()) again(); // else the ack brings us back
        return;
      }
      const portion = w.portion();
      const turn = Math.min(portion, MAX_FRAME);
      while (ready.length && out.at < portion - turn / 2 && w.room() > 0) {
        const flow = ready.shift() as Flow;
        flow.queued = false;
        w.sent += flow.take(out, turn);
        if (flow.pending()) line.enqueue(flow);
      }
      if (w.due()) {
        w.mark(performance.now());
        line.marks++;
        out.frame(MARK, 0, "");
      }
      if (out.at) line.say(out.copy(0, out.at));
      out.clear();
    }
    if (w.room() > 0) w.starve();
  };

  const line: Line = {
    out,
    window: w,
    patience: patience(),
    remote: usual,
    open: false,
    lastServed: 0,
    strikes: 0,
    goneAway: false,
    batch: 0,
    owed: 0,
    received: 0,
    marks: 0,
    stuckSince: 0,
    conn: undefined,
    say(message): void {
      sending(message);
      line.conn?.send(message);
    },
    end(): void {
      clearTimeout(timer);
      line.conn?.close();
      line.conn = undefined;
      out.clear();
      ready = [];
    },
    waiting: () => out.at + (line.conn?.buffered ?? 0),
    idle: () => !out.at && !ready.length,
    next(): Writer {
      if (out.at - (cuts.at(-1) ?? 0) > CUT) cuts.push(out.at);
      line.kick();
      return out;
    },
    owe(first, id, payload): void {
      const before = line.next().at;
      out.frame(first, id, payload);
      line.owed += out.at - before;
    },
    enqueue(flow): void {
      if (!flow.queued) ready.push(flow);
      flow.queued = true;
      line.kick();
    },
    marked(): boolean {
      const fresh = line.received > lastMark;
      lastMark = line.received;
      ackDue = true;
      ackAt = Math.floor(performance.now() * 1000);
      return fresh;
    },
    kick(): void {
      if (scheduled || !line.open) return;
      scheduled = true;
      queueMicrotask(() => {
        scheduled = false;
        if (line.conn) flush(line.conn);
        flushed();
      });
    },
  };
  return line;
};
