/**
 * The connection's window: how many bulk bytes may be on their way, unacknowledged. Too few leave the
 * path empty, too many wait in it, and small calls behind them. It follows the most that the path
 * brought lately, as BBR does (Cardwell et al., ACM Queue 14(5), 2016), and how long bytes wait on
 * their way there, which the other side's clock tells, as in LEDBAT (RFC 6817). Times are in
 * milliseconds. See spec/README.md, section 9, and rpc/window.go, which does more for fast networks.
 */
export interface Window {
  /** Bulk bytes sent since the start; of these, acknowledged. */
  sent: number;
  acked: number;
  /** How many bytes may go out. It may be negative. */
  room(): number;
  /** How much bulk goes into one message, and between two marks. */
  portion(): number;
  /** Whether an answer to a mark is to come. */
  awaits(): boolean;
  /** Whether a mark must be set: from time to time, and when nothing may be sent before one is answered. */
  due(): boolean;
  mark(now: number): void;
  /** Notes that there was room, and nothing to send. */
  starve(): void;
  /** Takes in that n bytes have arrived, not fewer than before, at a time on the other side's clock. */
  ack(n: number, came: number, now: number): void;
}

const START = 64 * 1024; // what a connection begins with
const LEAST = 16 * 1024;
const MOST = 16 * 1024 * 1024;
const NEAR = 256 * 1024; // below a millisecond time goes into waiting for a processor, and says little
const SLACK = 8 * 1024; // marks stand some way apart,
const JITTER = 0.5; // and who acknowledges has to be scheduled
const FADES = 0.9; // a rate counts less with each round that brings less
const DRAIN_EVERY = 10_000; // the window is drawn in from time to time: only then can be seen how long the path is

export const window = (): Window => {
  let size = START;
  let marked = 0; // sent, when the last mark was set
  const marks: { at: number; time: number }[] = [];
  let best = 0; // the rate of late, in bytes a millisecond
  let gain = 2; // until the path is full
  let there = Infinity; // the shortest way there of late, on two clocks: only differences count
  let trip = Infinity; // the shortest round trip of late, without what waits on the way there
  let drainAt = 0;
  let draining = 0; // rounds of that which are left
  let begin = 0; // of the round: when it began,
  let first = 0; // what was acknowledged then,
  let began = 0; // and when that had come, on the other side's clock
  let waited = 0; // the longest wait in it
  let starved = false; // there was a time in it with nothing to send: the program was slow, not the path

  const learn = (rate: number, now: number): void => {
    if (draining) draining--;
    else if (!starved || rate > best) {
      best = rate < best / 2 ? rate : Math.max(rate, best * FADES);
      if (waited > trip / 4 + JITTER) gain = 1.25;
      if (now > drainAt) {
        if (drainAt) {
          draining = 2;
          there = trip = Infinity;
        }
        drainAt = now + DRAIN_EVERY;
      }
    }
    const wanted = best * (trip * (draining ? 0.5 : gain) + JITTER) + SLACK;
    size = trip < Infinity ? Math.min(Math.max(wanted, trip < 1 && !draining ? NEAR : LEAST), MOST) : size / 2;
  };

  const w: Window = {
    sent: 0,
    acked: 0,
    room: () => size - (w.sent - w.acked),
    portion: () => Math.min(Math.max(size / (trip < 1 ? 4 : 16), 4096), 120 * 1024),
    awaits: () => marks.length > 0,
    due(): boolean {
      const n = w.sent - marked;
      return n > 0 && (n >= w.portion() || (w.room() <= 0 && !marks.length));
    },
    mark(now): void {
      marked = w.sent;
      marks.push({ at: marked, time: now });
    },
    starve(): void {
      starved = true;
    },
    ack(n, came, now): void {
      w.acked = n;
      let time = 0;
      while (marks[0] && marks[0].at <= n) time = marks.shift()?.time ?? 0;
      if (!time) return;
      const way = came - time;
      there = Math.min(there, way);
      trip = Math.min(trip, now - time - (way - there));
      waited = Math.max(waited, way - there);
      // A round lasts until a mark is answered that was set in it.
      if (time < begin || came - began < 1) return; // a rate over less says nothing
      if (begin) learn((n - first) / (came - began), now);
      begin = now;
      first = n;
      began = came;
      waited = 0;
      starved = false;
    },
  };
  return w;
};
