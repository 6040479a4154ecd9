/** Calls the function after so many ms; after more than 24 days, which no timer here can wait, never. */
export const after = (ms: number, fn: () => void): ReturnType<typeof setTimeout> | undefined =>
  ms < 2 ** 31 ? setTimeout(fn, ms) : undefined;
