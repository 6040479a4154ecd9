const firstWait = 100; // ms
const tryTime = 8_000; // ms for connecting and resuming

/** A connection was cut, or a try failed, because of `error`. Try number `attempt` is made at `next`, in ms since 1970. */
export interface Waiting {
  phase: "waiting";
  error: Error | undefined;
  attempt: number;
  next: number;
}

/** Why it is tried again, within how many ms it must succeed, and whether the last success brought something. */
interface Why {
  error?: Error;
  within?: number;
  better?: boolean;
}

/** Tries, until it succeeds. */
type Retry = <T>(run: (signal: AbortSignal) => Promise<T>, life: AbortSignal, why?: Why) => Promise<T>;

/**
 * Makes what tries something again and again: at once, and then with growing waits, up to so many ms. A success counts
 * as a failure if it neither brought something nor lasted for so long. It rejects with the last error when the time is
 * over, and when `life` ends.
 */
export const retrying = (longest: number, tell: (state: Waiting) => void): Retry => {
  let failed = 0; // tries in a row that brought nothing
  let began = performance.now();
  return async <T>(run: (signal: AbortSignal) => Promise<T>, life: AbortSignal, why: Why = {}): Promise<T> => {
    let { error, within: most = Infinity, better } = why;
    const giveUp = performance.now() + most;
    if (better || performance.now() - began > longest) failed = 0;
    for (; ; failed++) {
      life.throwIfAborted();
      const wait = Math.min(backOff(failed, longest), giveUp - performance.now());
      tell({ phase: "waiting", error, attempt: failed + 1, next: Date.now() + wait });
      await pause(wait, life);
      const left = giveUp - performance.now();
      if (left <= 0) throw error;
      try {
        const got = await within(Math.min(tryTime, left), life, run);
        failed++;
        began = performance.now();
        return got;
      } catch (e) {
        error = e as Error;
      }
    }
  };
};

/**
 * How long to wait when so many tries in a row have failed, in ms: not at all at first, then with full jitter (AWS,
 * Exponential Backoff And Jitter), so that clients of a server that was gone do not come back all at once.
 */
const backOff = (failed: number, longest: number): number =>
  failed && Math.random() * Math.min(firstWait * 2 ** (failed - 1), longest);

/**
 * Runs something for at most so many ms (24 days), and no longer than `life`: then it rejects. The signal that it is
 * given is aborted then, and at the latest when it is over.
 */
export async function within<T>(ms: number, life: AbortSignal, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  life.throwIfAborted();
  const own = new AbortController();
  const { signal } = own;
  const timer = setTimeout(() => own.abort(new Error(`no answer within ${ms / 1000} s`)), Math.min(ms, 2 ** 31 - 1));
  life.addEventListener("abort", () => own.abort(life.reason), { signal });
  try {
    return await new Promise<T>((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
      run(signal).then(resolve, reject);
    });
  } finally {
    clearTimeout(timer);
    own.abort();
  }
}

/** Waits so many ms, or until `life` ends, the network is back, or the page is looked at again. */
const pause = (ms: number, life: AbortSignal): Promise<unknown> =>
  within(
    ms,
    life,
    (signal) =>
      new Promise((resolve) => {
        for (const event of ["online", "visibilitychange"]) globalThis.addEventListener?.(event, resolve, { signal });
      }),
  ).catch(() => {});
