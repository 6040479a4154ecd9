import type { Exchange } from "./exchange.ts";
import type { Written } from "./value.ts";
import { MAX_FRAME } from "./wire.ts";

/** What a stream is fed from. The bytes of a ReadableStream, such as Blob.stream(), are cut into pieces that fit. */
export type Items<T> = AsyncIterable<T> | Iterable<T> | ReadableStream<T>;

interface Source {
  next(): unknown;
  return?(): unknown;
}

// Not all browsers iterate over a ReadableStream.
const iterate = (items: Items<unknown>): Source => {
  if (items instanceof ReadableStream) {
    const reader = items.getReader();
    return { next: () => reader.read(), return: () => reader.cancel() };
  }
  return Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
};

/** What feeds a call: items, and how they are written. */
export interface Feeding {
  readonly items: Items<unknown>;
  readonly write: (value: unknown, plain: boolean) => Written;
}

/**
 * Sends items, no faster than they are taken, and the stream's end. It returns false if the call ended
 * before, and throws what the items throw.
 */
export const feed = async (
  x: Exchange,
  items: Items<unknown>,
  write: (value: unknown, plain: boolean) => Written,
): Promise<boolean> => {
  const out = x.flow();
  const { remote } = x.shared.line;
  const source = iterate(items);
  let open = true;
  const stop = async (): Promise<void> => {
    if (!open) return;
    open = false;
    try {
      await source.return?.();
    } catch {
      // it was told; nobody is there to listen
    }
  };
  if (out.over) void stop();
  out.stop = () => void stop();
  try {
    while (open) {
      const { done, value } = (await source.next()) as IteratorResult<unknown>;
      if (done) {
        open = false;
        if (out.over) return false;
        out.end();
        return true;
      }
      const cut = items instanceof ReadableStream && value instanceof Uint8Array ? MAX_FRAME : Infinity;
      let rest: unknown = value;
      do {
        const piece = cut < Infinity ? (rest as Uint8Array).subarray(0, cut) : rest;
        if (cut < Infinity) rest = (rest as Uint8Array).subarray(cut);
        if (!(await out.room())) return false;
        out.item(write(piece, remote.plain), remote.value);
      } while (cut < Infinity && (rest as Uint8Array).length);
    }
    return false;
  } finally {
    void stop();
  }
};
