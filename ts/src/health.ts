/** What is expected of the other side, and by when. Times are in milliseconds, on the clock of performance.now. */
import type { Line } from "./line.ts";
import { PING, type Reader } from "./wire.ts";

const SHORT = 10_000; // for its hello, for any message after a ping, for the connection to take something
const LONG = 15_000; // for more bulk to be acknowledged

/** Why a connection must be given up, and for how long it has been bad: 0 if another beneath it would be no better. */
interface Dead {
  age: number;
  why: string;
}

export interface Health {
  /** The other side's hello is expected, by the time returned. */
  begin(): number;
  /** A message came. */
  heard(): void;
  /** Asks for a sign of life; the answer also tells the round trip. */
  ping(line: Line): void;
  /** Takes an answer in, and tells the round trip; one to no ping, or to an earlier one, tells nothing. */
  pong(payload: Reader): number;
  /** Tells why the connection must be given up, if it must. */
  dead(line: Line, now: number): Dead | undefined;
  /** The connection mends itself: it is given its time again. */
  renewed(line: Line, now: number): void;
  /** Pings if it is time. */
  tick(line: Line, now: number): void;
  /** When something is due next. */
  next(line: Line): number;
}

export const health = (keepAlive: number): Health => {
  let heard = false; // since the last ping
  let greetBy = Infinity;
  let pongBy = Infinity;
  let nextPing = Infinity;
  let pinged = 0; // when
  let pings = 0;

  const stuck = ({ stuckSince }: Line): number => (stuckSince ? stuckSince + SHORT : Infinity);
  const acked = ({ window }: Line): number => (window.awaits() ? window.since + LONG : Infinity);
  const h: Health = {
    begin(): number {
      greetBy = performance.now() + SHORT;
      return greetBy;
    },
    heard(): void {
      heard = true;
    },
    ping(line): void {
      greetBy = Infinity;
      pinged = performance.now();
      pings = (pings + 1) & 127;
      line.next().numbers(PING, 0, pings);
      if (keepAlive === Infinity) return;
      heard = false;
      pongBy = pinged + SHORT;
      nextPing = pinged + keepAlive;
    },
    pong: (p) => (p.end - p.at === 1 && p.bytes[p.at] === pings ? performance.now() - pinged : 0),
    dead(line, now): Dead | undefined {
      if (heard) pongBy = Infinity;
      if (now >= greetBy) return { age: 0, why: "no hello within 10 s" };
      if (now >= stuck(line)) return { age: SHORT, why: "nothing was taken for 10 s" };
      if (now >= pongBy) return { age: SHORT, why: "no sign of life for 10 s after a ping" };
      return now >= acked(line) ? { age: LONG, why: "no ack for 15 s" } : undefined;
    },
    renewed(line, now): void {
      if (pongBy <= now) pongBy = now + SHORT;
      if (line.stuckSince) line.stuckSince = now;
      line.window.since = now;
    },
    tick(line, now): void {
      if (now >= nextPing && pongBy === Infinity) h.ping(line);
    },
    // While a pong is awaited, the next ping waits for it.
    next: (line) => Math.min(stuck(line), acked(line), greetBy, pongBy === Infinity ? nextPing : pongBy),
  };
  return h;
};
