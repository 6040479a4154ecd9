/** What is expected of the other side, and by when. Times are in milliseconds, on the clock of performance.now. */
import type { Line } from "./line.ts";
import { PING } from "./wire.ts";

const HELLO_TIME = 10_000; // for its hello to come
const PONG_TIME = 10_000; // for any message to come after a ping
const WRITE_TIME = 10_000; // for the connection to take something
const ACK_TIME = 15_000; // for more bulk to be acknowledged

/** Why a connection must be given up, and for how long it has been bad: 0 if another beneath it would be no better. */
export interface Dead {
  age: number;
  why: string;
}

export class Health {
  /** Of the last ping; 0 before the first. */
  roundTrip = 0;
  private readonly keepAlive: number;
  private heardAny = false; // since the last ping
  private greetBy = Infinity;
  private pongBy = Infinity;
  private nextPing = Infinity;
  private pinged = 0; // when
  private pings = 0;

  constructor(keepAlive: number) {
    this.keepAlive = keepAlive;
  }

  /** A connection begins; its hello is expected. */
  begin(now: number): void {
    this.pongBy = this.nextPing = Infinity;
    this.greetBy = now + HELLO_TIME;
  }

  heard(): void {
    this.heardAny = true;
  }

  /** Asks for a sign of life; the answer also tells the round trip. */
  ping(line: Line, now: number): void {
    this.greetBy = Infinity;
    this.pinged = now;
    line.control(PING, 0, String.fromCharCode(++this.pings & 127));
    if (this.keepAlive === Infinity) return;
    this.heardAny = false;
    this.pongBy = now + PONG_TIME;
    this.nextPing = now + this.keepAlive;
  }

  /** Takes an answer in. One to no ping, or to an earlier one, tells nothing. */
  pong(payload: Uint8Array): void {
    if (payload.length === 1 && payload[0] === (this.pings & 127)) this.roundTrip = performance.now() - this.pinged;
  }

  /** Tells why the connection must be given up, if it must. */
  dead(line: Line, now: number): Dead | undefined {
    if (this.heardAny) this.pongBy = Infinity;
    const { stuckSince, window } = line;
    if (now >= this.greetBy) return { age: 0, why: "the other side said no hello within 10 s" };
    if (stuckSince && now - stuckSince >= WRITE_TIME) {
      return { age: WRITE_TIME, why: "the connection took nothing for 10 s" };
    }
    if (now >= this.pongBy) return { age: PONG_TIME, why: "the other side gave no sign of life for 10 s after a ping" };
    if (window.awaits() && now - window.since >= ACK_TIME) {
      return { age: ACK_TIME, why: "the other side acknowledged nothing of what it was sent for 15 s" };
    }
    return undefined;
  }

  /** The connection mends itself: it is given its time again. */
  renewed(line: Line, now: number): void {
    if (this.pongBy <= now) this.pongBy = now + PONG_TIME;
    if (line.stuckSince) line.stuckSince = now;
    line.window.since = now;
  }

  /** Pings if it is time. */
  tick(line: Line, now: number): void {
    if (now >= this.nextPing && this.pongBy === Infinity) this.ping(line, now);
  }

  /** When something is due next. */
  next(line: Line): number {
    const stuck = line.stuckSince ? line.stuckSince + WRITE_TIME : Infinity;
    const ack = line.window.awaits() ? line.window.since + ACK_TIME : Infinity;
    const ping = this.pongBy === Infinity ? this.nextPing : Infinity; // else it waits for the last one's pong
    return Math.min(stuck, ack, ping, this.greetBy, this.pongBy);
  }
}
