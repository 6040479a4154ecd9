/**
 * What makes calls with a key safe to repeat, where a method is served: `@chumsync/chum/keyed`. It is an entry of its own,
 * since few pages serve such methods.
 */
import { failure } from "./error.ts";
import type { Keys } from "./mux.ts";
import type { Written } from "./value.ts";

const KEPT_FOR = 24 * 60 * 60 * 1000; // ms
const KEPT = 10_000;
const KEPT_BYTES = 16 * 1024 * 1024;

interface Entry {
  form: number;
  args: Uint8Array;
  result: Promise<Written>;
  size: number;
  /** When it went well; 0 while it runs. */
  at: number;
}

/**
 * Keeps the keyed calls that run, and those that went well: for a day, the last 10,000 and 16 MiB of them. Any number of
 * methods may share one.
 */
export const keys = (): Keys => {
  const calls = new Map<string, Entry>(); // in the order in which they began
  let bytes = 0;

  const expire = (): void => {
    const now = performance.now();
    for (const [name, { at, size }] of calls) {
      if (!at) continue;
      if (now - at < KEPT_FOR && calls.size <= KEPT && bytes <= KEPT_BYTES) return;
      calls.delete(name);
      bytes -= size;
    }
  };

  return {
    once(name, form, args, run): Promise<Written> {
      expire();
      const known = calls.get(name);
      if (known) {
        const same = known.form === form && known.args.length === args.length;
        if (same && known.args.every((b, i) => b === args[i])) return known.result;
        throw failure("invalid_argument", "no", "this key was used with other arguments");
      }
      const entry: Entry = { form, args, result: (async () => run())(), size: args.length, at: 0 };
      calls.set(name, entry);
      entry.result.then(
        (written) => {
          entry.at = performance.now();
          entry.size += written.data.length;
          bytes += entry.size;
          expire();
        },
        () => calls.delete(name), // it may be tried again
      );
      return entry.result;
    },
  };
};
