/** What travels with a request beside its arguments, spec/README.md section 7. Keys that begin with rpc. are the protocol's own. */
import { decodeText } from "./json.ts";
import { Reader, Writer } from "./wire.ts";

export const REPEAT = "rpc.repeat";
export const KEY = "rpc.key";
export const PRIORITY = "rpc.priority";

const MOST = 4096;
const none = new Uint8Array();

/** Writes a list of keys and values. It throws an Error that says what cannot be sent. */
export const writeMetadata = (entries: Iterable<readonly [string, string]>): Uint8Array => {
  const w = new Writer();
  const text = (s: string): void => {
    const { length } = new TextEncoder().encode(s);
    w.u(length);
    w.text(s);
  };
  for (const [key, value] of entries) {
    if (!/^[a-z\d._-]{1,64}$/.test(key)) throw new Error(`bad metadata key ${key}`);
    text(key);
    text(value);
  }
  if (w.at > MOST) throw new Error("too much metadata");
  return w.at ? w.copy(0, w.at) : none;
};

/** Reads such a list. It throws an Error if it is none. */
export const readMetadata = (bytes: Uint8Array): Map<string, string> => {
  const map = new Map<string, string>();
  if (bytes.length > MOST) throw new Error("too much metadata");
  const r = new Reader(bytes);
  const text = (): string => {
    const part = r.take(r.u());
    return decodeText(part, 0, part.length);
  };
  while (r.at < r.end) map.set(text(), text());
  return map;
};
