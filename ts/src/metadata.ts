/** What travels with a request beside its arguments, spec/README.md section 7. Keys that begin with rpc. are the protocol's own. */
import { decodeText } from "./json.ts";
import { encodeText, joined, Reader } from "./wire.ts";

export const REPEAT = "rpc.repeat";
export const KEY = "rpc.key";
export const PRIORITY = "rpc.priority";

const none = new Uint8Array();

const bounded = (bytes: Uint8Array): Uint8Array => {
  if (bytes.length > 4096) throw new Error("too much metadata");
  return bytes;
};

/** Writes a list of keys and values. It throws an Error that says what cannot be sent. */
export const writeMetadata = (entries: readonly (readonly [string, string])[]): Uint8Array => {
  if (!entries.length) return none;
  for (const [key] of entries) if (!/^[a-z\d._-]{1,64}$/.test(key)) throw new Error(`bad metadata key ${key}`);
  const parts = entries.flat().map(encodeText);
  return bounded(joined(...parts.flatMap((part) => [part.length, part])));
};

/** Reads such a list. It throws an Error if it is none. */
export const readMetadata = (bytes: Uint8Array): Map<string, string> => {
  const map = new Map<string, string>();
  const r = new Reader(bounded(bytes));
  const text = (): string => decodeText(r.take(r.u()));
  while (r.left) map.set(text(), text());
  return map;
};
