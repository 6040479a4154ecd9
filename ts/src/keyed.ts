import { CallError } from "./error.ts";
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

/** The keyed calls of a Mux that run, and those that went well: a repetition gets the first one's result. */
export class Keys {
  readonly #calls = new Map<string, Entry>(); // in the order in which they began
  #bytes = 0;

  /** Runs the first call of this name, which holds method and key; others with the same arguments get its result. */
  once(name: string, form: number, args: Uint8Array, run: () => Written | Promise<Written>): Promise<Written> {
    const known = this.#calls.get(name);
    if (known) {
      const same =
        known.form === form && known.args.length === args.length && known.args.every((b, i) => b === args[i]);
      if (same) return known.result;
      throw new CallError("invalid_argument", "this key was used with other arguments", undefined, "no");
    }
    const entry: Entry = { form, args, result: (async () => run())(), size: args.length, at: 0 };
    this.#calls.set(name, entry);
    entry.result.then(
      (written) => {
        entry.at = performance.now();
        entry.size += written.data.length;
        this.#bytes += entry.size;
        this.#expire();
      },
      () => this.#calls.delete(name), // it may be tried again
    );
    return entry.result;
  }

  /** Whether a call of this name runs or went well. */
  has(name: string): boolean {
    this.#expire();
    return this.#calls.has(name);
  }

  #expire(): void {
    const now = performance.now();
    for (const [name, { at, size }] of this.#calls) {
      if (!at) continue;
      if (now - at < KEPT_FOR && this.#calls.size <= KEPT && this.#bytes <= KEPT_BYTES) return;
      this.#calls.delete(name);
      this.#bytes -= size;
    }
  }
}
