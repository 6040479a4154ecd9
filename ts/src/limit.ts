/**
 * Patience bounds the frames that cost time and bring nothing: pings, calls that are refused or
 * cancelled at once, credit that nothing was sent for. It counts what was in vain against what was
 * not, so that no rate of honest calls, items or bytes is ever too high. See spec/README.md, section 12.
 */
const MOST = 3000;
const A_SECOND = 2000;
const AN_ANSWER = 4;
const LATE_MOST = 2 ** 20;

export class Patience {
  private left = MOST;
  private late = 0; // frames for ended calls that may still be on their way
  private at: number = performance.now();

  /** Counts in the time that has passed. */
  refill(now: number): void {
    this.left = Math.min(this.left + ((now - this.at) * A_SECOND) / 1000, MOST);
    this.at = now;
  }

  /** Counts in a call of the other side that was answered. */
  answered(): void {
    this.left = Math.min(this.left + AN_ANSWER, MOST);
  }

  /** Counts in frames that may honestly be on their way for a call that has ended. */
  allow(frames: number): void {
    this.late = Math.min(this.late + frames, LATE_MOST);
  }

  /** Takes one of them off; false if there are none. */
  wasAllowed(): boolean {
    return this.late > 0 && this.late-- > 0;
  }

  /** Counts frames in vain. It throws when there were too many. */
  spend(cost: number, what: string): void {
    this.left -= cost;
    if (this.left < 0) throw new Error(`it floods: too many frames were in vain, the last was ${what}`);
  }
}
