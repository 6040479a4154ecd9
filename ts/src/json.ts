/** JSON as spec/README.md, section 4, has it: stricter than JSON.parse on what comes in, and with bytes as base64. */

const MAX_DEPTH = 64;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads UTF-8. Short texts of ASCII are read by hand, which is faster. */
export const decodeText = (b: Uint8Array, from: number, to: number): string => {
  let text = "";
  if (to - from < 32) {
    let i = from;
    for (; i < to; i++) {
      const c = b[i] as number;
      if (c >= 0x80) break;
      text += String.fromCharCode(c);
    }
    if (i === to) return text;
  }
  return decoder.decode(b.subarray(from, to));
};

/** Counts the names of members in a JSON text: the strings that a colon follows. */
const countNames = (text: string): number => {
  let n = 0;
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at)) {
    let slashes: number;
    do {
      at = text.indexOf('"', at + 1);
      for (slashes = 0; text[at - 1 - slashes] === "\\"; slashes++);
    } while (slashes % 2);
    while (/\s/.test(text[++at] ?? ""));
    if (text[at] === ":") n++;
  }
  return n;
};

/** Counts the members of all objects in a value, and refuses what no peer may send. */
const countMembers = (value: unknown, depth: number): number => {
  if (typeof value !== "object" || value === null) {
    if (typeof value === "number" && !Number.isFinite(value)) throw new Error("a number too large");
    return 0;
  }
  if (depth === MAX_DEPTH) throw new Error(`JSON deeper than ${MAX_DEPTH} levels`);
  const members = Object.values(value);
  let n = Array.isArray(value) ? 0 : members.length;
  for (const m of members) n += countMembers(m, depth + 1);
  return n;
};

/** Reads a JSON text; what it is to be, a checker says. It throws an Error that says what is wrong. */
export const parseJSON = (text: string): unknown => {
  const value: unknown = JSON.parse(text);
  // What is left when all backslashes that stand for themselves and all whole pairs are gone.
  if (text.includes("\\u") && /\\ud[89a-f]/i.test(text.replace(/\\\\|\\ud[89ab]..\\ud[c-f]../gi, ""))) {
    throw new Error("JSON with a lone surrogate");
  }
  // JSON.parse takes the last of several members with one name; so they are counted.
  if (countMembers(value, 0) !== (text.includes("{") ? countNames(text) : 0)) throw new Error("JSON with a name twice");
  return value;
};

/** Bytes in base64, RFC 4648 section 4. */
export const toBase64 = (bytes: Uint8Array): string => {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
};

/** Reads base64, with padding and nothing else in it. */
export const fromBase64 = (text: string): Uint8Array => {
  if (text.length % 4 || !/^[\w+/]*={0,2}$/.test(text) || text.includes("_")) throw new Error("not base64");
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
};

/** Tells whether there are bytes in a value, and refuses what JSON cannot hold. */
const hasBytes = (value: unknown, depth: number): boolean => {
  if (typeof value === "number" && !Number.isFinite(value)) throw new Error(`${value} in JSON`);
  if (typeof value !== "object" || value === null) return false;
  if (value instanceof Uint8Array) return true;
  if (depth === MAX_DEPTH) throw new Error(`JSON deeper than ${MAX_DEPTH} levels`);
  let found = false;
  for (const m of Object.values(value)) found = hasBytes(m, depth + 1) || found;
  return found;
};

/** Writes a value as JSON, bytes within it as base64; what is undefined, as nothing at all. */
export const writeJSON = (value: unknown): string =>
  JSON.stringify(
    value,
    hasBytes(value, 0) ? (_, v: unknown) => (v instanceof Uint8Array ? toBase64(v) : v) : undefined,
  ) ?? "";
