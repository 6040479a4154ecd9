const firstWait = 100; // ms

/**
 * How long to wait when so many tries in a row have failed, in ms: not at all at first, then with full jitter (AWS,
 * Exponential Backoff And Jitter), so that clients of a server that was gone do not come back all at once.
 */
export const backOff = (failed: number, longest: number): number =>
  failed && Math.random() * Math.min(firstWait * 2 ** (failed - 1), longest);

/** Runs a try. Its signal is aborted after so many ms (at most 24 days), with `life`, and at the latest when it is over. */
export async function within<T>(ms: number, life: AbortSignal, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  life.throwIfAborted();
  const own = new AbortController();
  const { signal } = own;
  const late = (): void => own.abort(new Error(`no answer within ${ms / 1000} s`));
  const timer = setTimeout(late, Math.min(ms, 2 ** 31 - 1)); // more would be none
  life.addEventListener("abort", () => own.abort(life.reason), { signal });
  try {
    return await run(signal);
  } finally {
    clearTimeout(timer);
    own.abort();
  }
}

/** Waits so many ms, or until `life` ends, the network is back, or the page is looked at again. */
export const pause = (ms: number, life: AbortSignal): Promise<unknown> =>
  within(
    ms,
    life,
    (signal) =>
      new Promise((resolve) => {
        signal.addEventListener("abort", resolve);
        for (const event of ["online", "visibilitychange"]) globalThis.addEventListener?.(event, resolve, { signal });
      }),
  );
