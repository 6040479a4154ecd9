import type { Conn, Resumer } from "./conn.ts";
import { type Hello, usual } from "./hello.ts";
import { type Patience, patience } from "./limit.ts";
import { type Window, window } from "./window.ts";
import { ACK, MARK, MAX_FRAME, type Part, Writer } from "./wire.ts";

const CUT = 256 * 1024; // where queued frames are cut into another message, well below what every peer takes
const HIGH = 1024 * 1024; // so many bytes may wait in the connection before all waits here,
const HIGH_BULK = 128 * 1024; // so many before bulk does: what is there, small calls would wait behind
const AGAIN = 20; // ms after which a connection that was full is looked at once more

/** What is expected of the other side, and within how many ms: spec/README.md, section 11. */
export const TIMES = { hello: 10_000, write: 10_000, pong: 10_000, ack: 15_000 };
export type Expected = keyof typeof TIMES;

/** What one call has to send as bulk. */
export interface Flow {
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
  readonly window: Window;
  readonly patience: Patience;
  /** What is expected, and by when, on the clock of performance.now. */
  readonly due: Map<Expected, number>;
  /** What the other side said of itself; then all may go out. */
  remote: Hello;
  open: boolean;
  /** The highest id of its requests, and how often it made no sense. */
  lastServed: number;
  strikes: number;
  /** It takes no more calls. */
  goneAway: boolean;
  /** How often calls and control were sent: what was queued in an earlier batch may have arrived. */
  batch: number;
  /** Bytes queued that the other side caused. */
  owed: number;
  /** Bulk bytes that came. */
  received: number;
  /** Marks that were not answered; below 0 acks came that nobody asked for. */
  marks: number;
  /** The connection; undefined before the beginning and after the end. */
  conn: (Conn & Partial<Resumer>) | undefined;

  expect(what: Expected): void;
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
  /** Queues a frame that the other side caused. */
  owe(first: number, id: number, ...payload: Part[]): void;
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
  const ready = new Set<Flow>(); // those that wait for their turn
  let scheduled = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stuckAt = 0;
  let lastMark = 0;
  let ackAt: number | undefined; // when the mark came that is to be answered

  const again = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => line.kick(), AGAIN);
  };

  const flush = (conn: Conn): void => {
    const { buffered } = conn;
    if (buffered > HIGH) {
      again();
      if (!line.due.has("write") || buffered < stuckAt) line.expect("write");
      stuckAt = buffered;
      return;
    }
    line.due.delete("write");
    if (ackAt !== undefined) out.frame(ACK, 0, lastMark, ackAt);
    ackAt = undefined;
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
    while ((ready.size && w.room() > 0) || w.due()) {
      if (conn.buffered > HIGH_BULK) {
        if (!w.awaits()) again(); // else the ack brings us back
        return;
      }
      const portion = w.portion();
      const turn = Math.min(portion, MAX_FRAME);
      for (const flow of ready) {
        if (out.at >= portion - turn / 2 || w.room() <= 0) break;
        ready.delete(flow);
        w.sent += flow.take(out, turn);
        if (flow.pending()) line.enqueue(flow);
      }
      if (w.due()) {
        if (!w.awaits()) line.expect("ack");
        w.mark(performance.now());
        line.marks++;
        out.frame(MARK, 0);
      }
      if (out.at) line.say(out.copy(0));
      out.clear();
    }
    if (w.room() > 0) w.starve();
  };

  const line: Line = {
    window: w,
    patience: patience(),
    due: new Map(),
    remote: usual,
    open: false,
    lastServed: 0,
    strikes: 0,
    goneAway: false,
    batch: 0,
    owed: 0,
    received: 0,
    marks: 0,
    conn: undefined,
    expect: (what) => line.due.set(what, performance.now() + TIMES[what]),
    say(message): void {
      sending(message);
      line.conn?.send(message);
    },
    end(): void {
      clearTimeout(timer);
      line.conn?.close();
      line.conn = undefined;
      out.clear();
      ready.clear();
    },
    waiting: () => out.at + (line.conn?.buffered ?? 0),
    idle: () => !out.at && !ready.size,
    next(): Writer {
      if (out.at - (cuts.at(-1) ?? 0) > CUT) cuts.push(out.at);
      line.kick();
      return out;
    },
    owe(first, id, ...payload): void {
      const before = line.next().at;
      out.frame(first, id, ...payload);
      line.owed += out.at - before;
    },
    enqueue(flow): void {
      ready.add(flow);
      line.kick();
    },
    marked(): boolean {
      const fresh = line.received > lastMark;
      lastMark = line.received;
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
