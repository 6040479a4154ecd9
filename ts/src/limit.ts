/**
 * Patience bounds the frames that cost time and bring nothing: pings, calls that are refused or
 * cancelled at once, credit that nothing was sent for. It counts what was in vain against what was
 * not, so that no rate of honest calls, items or bytes is ever too high. See spec/README.md, section 12.
 */
export interface Patience {
  /** Grows: by a call of the other side that was answered, or by the time that has passed since this was last said. */
  grow(now?: number): void;
  /** Counts in frames that may honestly be on their way for calls that have ended. */
  allow(frames: number): void;
  /** Takes one of them off; false if there are none. */
  wasAllowed(): boolean;
  /** Counts frames in vain. It throws when there were too many. */
  spend(cost: number): void;
}

const MOST = 3000;
const A_MILLISECOND = 2;
const AN_ANSWER = 4;
const LATE_MOST = 2 ** 20;

export const patience = (): Patience => {
  let left = MOST;
  let late = 0;
  let at = performance.now();
  return {
    allow(frames): void {
      late = Math.min(late + frames, LATE_MOST);
    },
    grow(now): void {
      left = Math.min(MOST, left + (now === undefined ? AN_ANSWER : (now - at) * A_MILLISECOND));
      at = now ?? at;
    },
    wasAllowed: () => late > 0 && late-- > 0,
    spend(cost): void {
      left -= cost;
      if (left < 0) throw new Error("it floods: too much was in vain");
    },
  };
};
