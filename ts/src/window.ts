/**
 * The connection's window: how many bulk bytes may be on their way, unacknowledged. Too few leave the
 * path empty, too many wait in it, and small calls behind them. It follows the most that the path
 * brought lately, as BBR does (Cardwell et al., ACM Queue 14(5), 2016), and how long bytes wait on
 * their way there, which the other side's clock tells, as in LEDBAT (RFC 6817). Times are in
 * milliseconds. See spec/README.md, section 9, and rpc/window.go, which does more for fast networks.
 */

const START = 64 * 1024; // what a connection begins with
const LEAST = 16 * 1024;
const MOST = 16 * 1024 * 1024;
const NEAR = 256 * 1024; // below a millisecond time goes into waiting for a processor, and says little
const SLACK = 8 * 1024; // marks stand some way apart,
const JITTER = 0.5; // and who acknowledges has to be scheduled
const MIN_ROUND = 1; // a rate over less time says nothing
const KEPT = 6; // so many rounds a rate counts
const DRAIN_EVERY = 10_000;

/** A mark asks how many of the bulk bytes before it have arrived. */
interface Mark {
  at: number;
  time: number;
}

export class Window {
  /** Bulk bytes sent since the start; of these, acknowledged. */
  sent = 0;
  acked = 0;
  /** When it was last acknowledged, or began to be asked for that. */
  since = 0;
  private size = START;
  private marked = 0; // sent, when the last mark was set
  private readonly marks: Mark[] = [];

  private rates: number[] = []; // of the last rounds, in bytes a millisecond
  private found = 0; // rounds in which the rate rose no more; 3: it is found
  private reached = 0; // the rate when it last rose
  private there = Infinity; // the shortest way there of late, on two clocks: only differences count
  private trip = Infinity; // the shortest round trip of late, without what waits on the way there
  private drainAt = 0; // the window is drawn in from time to time: only then can be seen how long the path is
  private draining = 0; // rounds of that which are left

  private begin = 0; // of the round: when it began,
  private first = 0; // what was acknowledged then,
  private came = 0; // and when that had come, on the other side's clock
  private waited = 0; // the longest wait in it
  private starved = false; // there was a time in it with nothing to send

  /** How many bytes may go out. It may be negative. */
  room(): number {
    return this.size - (this.sent - this.acked);
  }

  /** How much bulk goes into one message, and between two marks. */
  portion(): number {
    return Math.min(Math.max(this.size / (this.trip < 1 ? 4 : 16), 4096), 120 * 1024);
  }

  /** Whether an answer to a mark is to come. */
  awaits(): boolean {
    return this.marks.length > 0;
  }

  /** Whether a mark must be set: from time to time, and when nothing may be sent before one is answered. */
  due(): boolean {
    const n = this.sent - this.marked;
    return n > 0 && (n >= this.portion() || (this.room() <= 0 && !this.awaits()));
  }

  mark(now: number): void {
    if (!this.awaits()) this.since = now;
    this.marked = this.sent;
    this.marks.push({ at: this.sent, time: now });
  }

  /** Notes that there was room, and nothing to send. */
  starve(): void {
    this.starved = true;
  }

  /** Takes in that n bytes have arrived, not fewer than before, at a time on the other side's clock. */
  ack(n: number, came: number, now: number): void {
    if (n > this.acked) this.since = now;
    this.acked = n;
    let last: Mark | undefined;
    while (this.marks[0] && this.marks[0].at <= n) last = this.marks.shift();
    if (!last) return;
    const there = came - last.time;
    this.there = Math.min(this.there, there);
    this.trip = Math.min(this.trip, now - last.time - (there - this.there));
    this.waited = Math.max(this.waited, there - this.there);
    if (last.time >= this.begin && came - this.came >= MIN_ROUND) this.endRound(came, now);
  }

  /** Learns from a round: it lasts until a mark is answered that was set in it. */
  private endRound(came: number, now: number): void {
    const rate = (this.acked - this.first) / (came - this.came);
    if (this.begin) this.learn(rate, now);
    this.begin = now;
    this.first = this.acked;
    this.came = came;
    this.waited = 0;
    this.starved = false;
  }

  private learn(rate: number, now: number): void {
    const best = Math.max(0, ...this.rates);
    if (this.draining) {
      this.draining--;
    } else if (!this.starved || rate > best) {
      // It was the program that was slow, if starved: the path may bring more, not less.
      if (rate < best / 2 && !this.starved) {
        this.rates = [];
        this.reached = 0;
        this.found = 0;
      }
      this.rates = [rate, ...this.rates.slice(0, KEPT - 1)];
      if (rate > 1.25 * this.reached) {
        this.reached = rate;
        this.found = 0;
      } else this.found++;
      if (this.waited > this.trip / 4 + JITTER) this.found = 3; // the path is full: no need to look further
      this.drainAt ||= now + DRAIN_EVERY;
      if (now > this.drainAt) {
        this.drainAt = now + DRAIN_EVERY;
        this.draining = 2;
        this.there = Infinity;
        this.trip = Infinity;
      }
    }
    const gain = this.draining ? 0.5 : this.found < 3 ? 2 : 1.25;
    const trip = Number.isFinite(this.trip) ? this.trip : 0;
    const least = trip < 1 && !this.draining ? NEAR : LEAST;
    const size = Math.max(rate, ...this.rates) * (trip * gain + JITTER) + SLACK;
    this.size = this.draining && !trip ? this.size / 2 : Math.min(Math.max(size, least), MOST);
  }
}
