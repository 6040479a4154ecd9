const firstWait = 100; // ms

/**
 * How long to wait when so many tries in a row have failed, in ms: not at all at first, then with full jitter (AWS,
 * Exponential Backoff And Jitter), so that clients of a server that was gone do not come back all at once.
 */
export const backOff = (failed: number, longest: number): number =>
  failed && Math.random() * Math.min(firstWait * 2 ** (failed - 1), longest);

/** Waits so many ms, or until the signal ends it, the network is back, or the page is looked at again. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = new AbortController();
    const wake = (): void => {
      clearTimeout(timer);
      done.abort();
      resolve();
    };
    const timer = setTimeout(wake, ms);
    const until = { signal: done.signal };
    signal.addEventListener("abort", wake, until);
    globalThis.addEventListener?.("online", wake, until);
    globalThis.addEventListener?.("visibilitychange", wake, until);
  });
}

/** Runs a try whose signal ends with `life`, or after so many ms. */
export async function within<T>(ms: number, life: AbortSignal, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const own = new AbortController();
  const stop = (): void => own.abort(life.reason);
  const timer = setTimeout(() => own.abort(new Error(`no answer within ${ms / 1000} s`)), ms);
  life.addEventListener("abort", stop);
  try {
    life.throwIfAborted();
    return await run(own.signal);
  } finally {
    clearTimeout(timer);
    life.removeEventListener("abort", stop);
  }
}
