/**
 * Values as the cases have them (spec/conformance.md): bytes, and what is too long to be written down, are objects of one
 * member: {"$bytes": hex}, {"$pattern": n}, {"$numbers": n}.
 */
const listed = 20; // a list of more numbers, or bytes of thrice that, are told by their rule if they keep one
const piece = 5000; // bytes of an item
const maxPattern = 64 << 20; // bytes that a pattern may ask for

/** So many bytes, each its offset modulo 251. */
export const pattern = (size: number): Uint8Array<ArrayBuffer> => {
  if (!(size >= 0 && size <= maxPattern)) throw new Error(`a pattern of ${size} bytes`);
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) bytes[i] = i % 251;
  return bytes;
};

export const isPattern = (bytes: Uint8Array): boolean => bytes.every((byte, i) => byte === i % 251);

export const unhex = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

export const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

const marked = (value: object): [string, unknown] | undefined => {
  const entries = Object.entries(value);
  return entries.length === 1 && entries[0]?.[0].startsWith("$") ? entries[0] : undefined;
};

/** Reads data. */
export const fromData = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(fromData);
  if (typeof value !== "object" || value === null) return value;
  const [name, of] = marked(value) ?? [];
  if (name === "$bytes") return unhex(of as string);
  if (name === "$pattern") return pattern(of as number);
  if (name === "$numbers") return upTo(of as number);
  return Object.fromEntries(Object.entries(value).map(([name, v]) => [name, fromData(v)]));
};

/** Writes a value as data. */
export const toData = (value: unknown): unknown => {
  if (value instanceof Uint8Array) {
    if (value.length > 3 * listed && isPattern(value)) return { $pattern: value.length };
    return { $bytes: Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join("") };
  }
  if (Array.isArray(value)) return value.map(toData);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, v]) => [name, toData(v)]));
};

export const concat = (list: readonly Uint8Array[]): Uint8Array => {
  const all = new Uint8Array(list.reduce((n, b) => n + b.length, 0));
  let at = 0;
  for (const b of list) {
    all.set(b, at);
    at += b.length;
  }
  return all;
};

/** Writes what a stream gave: bytes as a whole, numbers by their rule. */
export const fromItems = (list: unknown[], bytes: boolean): unknown => {
  if (bytes) return toData(concat(list as Uint8Array[]));
  if (list.length > listed && list.every((v, i) => v === i)) return { $numbers: list.length };
  return toData(list);
};

/** Reads what a stream is fed: bytes in pieces. */
export const toItems = (value: unknown): unknown[] => {
  const items = fromData(value);
  if (!(items instanceof Uint8Array)) return items as unknown[];
  const list: Uint8Array[] = [];
  for (let at = 0; at <= items.length; at += piece) list.push(items.subarray(at, at + piece));
  return list;
};

/** Tells whether two data mean the same. */
export const same = (a: unknown, b: unknown): boolean => {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const there = (o: object): string[] =>
    Object.keys(o).filter((name) => (o as Record<string, unknown>)[name] !== undefined);
  const names = there(a);
  return (
    names.length === there(b).length &&
    names.every((name) => Object.hasOwn(b, name) && same(a[name as keyof typeof a], b[name as keyof typeof b]))
  );
};
