/**
 * What travels: frames in messages, spec/README.md sections 1 to 3. This is their encoder and
 * decoder and nothing else.
 */

export const HELLO = 1;
export const REQUEST = 2;
export const RESULT = 3;
export const ERROR = 4;
export const CANCEL = 5;
export const ITEM = 6;
export const END = 7;
export const PART = 8;
export const CREDIT = 9;
export const MARK = 10;
export const ACK = 11;
export const PING = 12;
export const PONG = 13;
export const GOAWAY = 14;
export const BYE = 15;

/** For each kind: 0 of the connection; else who may send it, 1 the caller, 2 the callee, 3 both, and 4 more if it holds a value. */
const RULES = [8, 0, 5, 6, 2, 1, 7, 3, 3, 3, 0, 0, 0, 0, 0, 0] as const;

/** The forms of a value: a JSON text or nothing at all, raw bytes, both. */
export const JSON_FORM = 0;
export const BYTES_FORM = 1;
export const PAIR_FORM = 2;

/** Bits of a frame's first byte, beside the kind in the lowest four. */
export const OWN = 0x10;
export const LONG = 0x80;
const FORM_SHIFT = 5;

export const MAX_FRAME = 61_440; // bytes of a frame's payload
export const MAX_MESSAGE = 1_048_576;

/** The first byte of a frame that holds a value in the form given. */
export const formed = (first: number, form: number): number => first | (form << FORM_SHIFT);

/** A Frame's head. A reader fills the same one again and again. */
export interface Frame {
  kind: number;
  form: number;
  /** The call was made by the sender of this frame. */
  own: boolean;
  /** The value says its total length first; parts bring the rest. */
  long: boolean;
  /** Of the call; 0 where the frame belongs to the connection. */
  id: number;
}

/** Takes apart what came, from at to end. It throws an Error that says what is wrong. */
export class Reader {
  bytes: Uint8Array;
  at = 0;
  end: number;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.end = bytes.length;
  }

  /** How many bytes are left. */
  get left(): number {
    return this.end - this.at;
  }

  /** The next number. Above 2^53 all are 2^64: nothing so large is allowed anywhere. */
  u(): number {
    for (let value = 0, scale = 1, n = 0; ; scale *= 0x80, n++) {
      const byte = this.bytes[this.at++] as number;
      const wrong = n && (!byte || (n > 8 && byte > 1)); // not in its shortest form, above 64 bits
      if (wrong || this.at > this.end) throw new Error("bad number");
      const high = (byte & 0x7f) * scale;
      value = high >= 2 ** 53 && value ? 2 ** 64 : value + high;
      if (byte < 0x80) return value;
    }
  }

  /** The next so many bytes, as they lie there. Unset: all that are left. */
  take(n: number = this.left): Uint8Array {
    if (n > this.left) throw new Error("cut short");
    this.at += n;
    return this.bytes.subarray(this.at - n, this.at);
  }

  /** The one number that is left. */
  only(): number {
    const n = this.u();
    if (this.left) throw new Error("bytes behind it");
    return n;
  }

  /** Takes the next frame off: its head into f, and payload then reads what it holds. */
  next(f: Frame, payload: Reader): void {
    const first = this.bytes[this.at++] ?? 0;
    f.kind = first & 0x0f;
    f.own = (first & OWN) > 0;
    f.form = (first >> FORM_SHIFT) & 3;
    f.long = first >= LONG;
    f.id = this.u();
    const n = this.u();
    const rule = RULES[f.kind] as number;
    const sender = f.id ? (f.own ? 1 : 2) : 0;
    const wrong =
      n > MAX_FRAME
        ? "too long"
        : n > this.left
          ? "cut short"
          : // biome-ignore format: one reason a line
            rule > 7 || f.id > Number.MAX_SAFE_INTEGER || f.form > PAIR_FORM
            || (rule & 3 ? !(rule & sender) : sender || f.own)
            || (rule < 4 && (f.form || f.long))
            ? "bad head"
            : "";
    if (wrong) throw new Error(wrong);
    payload.bytes = this.bytes;
    payload.at = this.at;
    this.at += n;
    payload.end = this.at;
  }
}

const encoder = new TextEncoder();

/** The text in UTF-8. */
export const encodeText = (text: string): Uint8Array<ArrayBuffer> => encoder.encode(text);

/** What is written: a number, bytes as they are, or a text in UTF-8. */
export type Part = number | Uint8Array | string;

/** Builds messages, one after the other, in a buffer that grows and stays. */
export class Writer {
  #buffer: Uint8Array = new Uint8Array(512);
  /** How many bytes there are. */
  at = 0;

  /** Sees to it that there is room for so many bytes more. */
  #room(n: number): void {
    if (this.at + n <= this.#buffer.length) return;
    const grown = new Uint8Array(2 * (this.at + n));
    grown.set(this.#buffer);
    this.#buffer = grown;
  }

  u(n: number): void {
    this.#room(9);
    for (; n >= 0x80; n = Math.floor(n / 0x80)) this.#buffer[this.at++] = (n % 0x80) | 0x80;
    this.#buffer[this.at++] = n;
  }

  put(part: Part): void {
    if (typeof part === "number") this.u(part);
    else if (typeof part === "string") this.#text(part);
    else {
      this.#room(part.length);
      this.#buffer.set(part, this.at);
      this.at += part.length;
    }
  }

  /** Short texts of ASCII are written by hand, which is faster. */
  #text(text: string): void {
    const n = text.length;
    this.#room(3 * n);
    const b = this.#buffer;
    let i = 0;
    if (n < 64) {
      for (; i < n; i++) {
        const c = text.charCodeAt(i);
        if (c > 0x7f) break;
        b[this.at + i] = c;
      }
    }
    this.at += i < n ? encoder.encodeInto(text, b.subarray(this.at)).written : n;
  }

  /** A whole frame. Tells how many bytes its payload has. */
  frame(first: number, id: number, ...payload: Part[]): number {
    this.#room(1);
    this.#buffer[this.at++] = first;
    this.u(id);
    const at = this.at;
    let n = 0; // a guess: if it is right, nothing must be moved
    for (const p of payload) n += typeof p === "number" ? 1 : p.length;
    this.u(n);
    const from = this.at;
    for (const p of payload) this.put(p);
    const size = this.at - from;
    if (size !== n) {
      const moved = this.#buffer.slice(from, this.at);
      this.at = at;
      this.u(size);
      this.put(moved);
    }
    return size;
  }

  /** Gives away a copy of what is there, from a place on. */
  copy(from: number, to: number = this.at): Uint8Array {
    return this.#buffer.slice(from, to);
  }

  /** Begins anew. A buffer that bulk has stretched is let go. */
  clear(): void {
    this.at = 0;
    if (this.#buffer.length > 256 * 1024) this.#buffer = new Uint8Array(512);
  }
}

/** The parts one behind the other. */
export const joined = (...parts: Part[]): Uint8Array => {
  const w = new Writer();
  for (const p of parts) w.put(p);
  return w.copy(0);
};
