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

/** Sends items, no faster than they are taken, and the stream's end, unless the call ends before. It throws what the items throw. */
export const feed = async (x: Exchange, { items, write }: Feeding): Promise<void> => {
  const out = x.flow();
  const { remote } = x.core.line;
  const source = iterate(items);
  // Told once; what it says to that, nobody is there to hear.
  out.stop = () => {
    out.stop = undefined;
    (async () => source.return?.())().catch(() => {});
  };
  try {
    while (!out.over) {
      const { done, value } = (await source.next()) as IteratorResult<unknown>;
      if (done) out.stop = undefined;
      if (out.over) return;
      if (done) return out.end();
      const cut = items instanceof ReadableStream && value instanceof Uint8Array;
      for (let at = 0; !at || (cut && at < value.length); at += MAX_FRAME) {
        if (!(await out.room())) return;
        out.item(write(cut ? value.subarray(at, at + MAX_FRAME) : value, remote.json), remote.value);
      }
    }
  } finally {
    out.stop?.();
  }
};
