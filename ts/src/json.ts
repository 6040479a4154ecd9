/** JSON as spec/README.md, section 4, has it: stricter than JSON.parse on what comes in, and with bytes as base64. */

const MAX_DEPTH = 64;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads UTF-8. Short texts of ASCII are read by hand, which is faster. */
export const decodeText = (bytes: Uint8Array): string => {
  let text = "";
  if (bytes.length > 31) return decoder.decode(bytes);
  for (const c of bytes) {
    if (c > 0x7f) return decoder.decode(bytes);
    text += String.fromCharCode(c);
  }
  return text;
};

/** What is known of a value: how many members its objects have, and whether there are bytes in it. */
interface Seen {
  members: number;
  bytes: boolean;
}

/** Looks through a value, and refuses what no peer may send. */
const look = (value: unknown, seen: Seen, depth = 0): void => {
  if (typeof value === "string") {
    if (!value.isWellFormed()) throw new Error("lone surrogate");
  } else if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new Error(`${value} in JSON`);
  } else if (value instanceof Uint8Array) seen.bytes = true;
  else if (typeof value === "object" && value) {
    if (depth === MAX_DEPTH) throw new Error(`over ${MAX_DEPTH} levels`);
    if (Array.isArray(value)) for (const v of value) look(v, seen, depth + 1);
    else {
      for (const name of Object.keys(value)) {
        seen.members++;
        look(name, seen);
        look((value as Record<string, unknown>)[name], seen, depth + 1);
      }
    }
  }
};

const colons = (text: string): number => text.split(":").length - 1;

/** Reads a JSON text; what it is to be, a checker says. It throws an Error that says what is wrong. */
export const parseJSON = (text: string): unknown => {
  const value: unknown = JSON.parse(text);
  const seen = { members: 0, bytes: false };
  look(value, seen);
  // JSON.parse takes the last of several members with one name. Without its strings a text has a colon for each name.
  if (seen.members < colons(text) && seen.members < colons(text.replace(/\\./g, "").replace(/"[^"]*"/g, ""))) {
    throw new Error("name twice");
  }
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
  if (text.length % 4 || !/^[a-z\d+/]*={0,2}$/i.test(text)) throw new Error("not base64");
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
};

/** Writes a value as JSON, bytes within it as base64; what is undefined, as nothing at all. */
export const writeJSON = (value: unknown): string => {
  const seen = { members: 0, bytes: false };
  look(value, seen);
  return (
    JSON.stringify(value, seen.bytes ? (_, v: unknown) => (v instanceof Uint8Array ? toBase64(v) : v) : undefined) ?? ""
  );
};
