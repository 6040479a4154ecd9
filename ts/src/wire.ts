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
export const MAX_HEAD = 12; // bytes of the longest frame head

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

  /** The next number. Above 2^53 all are 2^64: nothing so large is allowed anywhere. */
  u(): number {
    let byte = this.#byte();
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    for (let scale = 0x80, n = 1; ; scale *= 0x80, n++) {
      byte = this.#byte();
      if (n > 8 && byte > 1) throw new Error("number above 64 bits");
      const high = (byte & 0x7f) * scale;
      value = high >= 2 ** 53 && value ? 2 ** 64 : value + high;
      if (!byte) throw new Error("number not in its shortest form");
      if (byte < 0x80) return value;
    }
  }

  #byte(): number {
    if (this.at < this.end) return this.bytes[this.at++] as number;
    throw new Error("number cut short");
  }

  /** The next so many bytes, as they lie there. */
  take(n: number): Uint8Array {
    if (n > this.end - this.at) throw new Error("cut short");
    this.at += n;
    return this.bytes.subarray(this.at - n, this.at);
  }

  /** All the bytes that are left. */
  rest(): Uint8Array {
    return this.take(this.end - this.at);
  }

  /** The one number that is left. */
  only(): number {
    const n = this.u();
    if (this.at < this.end) throw new Error("bytes behind a number");
    return n;
  }

  /** Takes the next frame off: its head into f, and payload then reads what it holds. */
  next(f: Frame, payload: Reader): void {
    const first = this.bytes[this.at++] ?? 0;
    const kind = first & 0x0f;
    f.kind = kind;
    f.own = (first & OWN) > 0;
    f.form = (first >> FORM_SHIFT) & 3;
    f.long = first >= LONG;
    f.id = this.u();
    const n = this.u();
    const ofConnection = kind === HELLO || kind >= MARK;
    const ofCaller = kind === REQUEST || kind === CANCEL;
    const ofCallee = kind === RESULT || kind === ERROR;
    const valued = kind === REQUEST || kind === RESULT || kind === ITEM;
    const wrong = !kind
      ? "unknown kind 0"
      : n > MAX_FRAME
        ? "too long"
        : n > this.end - this.at
          ? "cut short"
          : f.id > Number.MAX_SAFE_INTEGER
            ? "id above 2^53-1"
            : ofConnection && (f.id || f.own)
              ? "not of a call"
              : !ofConnection && !f.id
                ? "no call"
                : f.form > PAIR_FORM
                  ? "unknown form 3"
                  : !valued && (f.form || f.long)
                    ? "no value has a form"
                    : (ofCaller && !f.own) || (ofCallee && f.own)
                      ? "from the wrong side"
                      : "";
    if (wrong) throw new Error(`frame of kind ${kind}: ${wrong}`);
    payload.bytes = this.bytes;
    payload.at = this.at;
    this.at += n;
    payload.end = this.at;
  }
}

const encoder = new TextEncoder();

/** The text in UTF-8. */
export const encodeText = (text: string): Uint8Array => encoder.encode(text);

const uSize = (n: number): number => {
  let size = 1;
  for (; n >= 0x80; n /= 0x80) size++;
  return size;
};

/** Builds messages, one after the other, in a buffer that grows and stays. */
export class Writer {
  #buffer: Uint8Array = new Uint8Array(512);
  /** How many bytes there are. */
  at = 0;
  /** Where the payload that is being written begins. */
  payload = 0;

  /** Sees to it that there is room for so many bytes more. */
  #room(n: number): void {
    if (this.at + n <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(2 * this.#buffer.length, this.at + n));
    grown.set(this.#buffer.subarray(0, this.at));
    this.#buffer = grown;
  }

  u(n: number): void {
    this.#room(9);
    for (; n >= 0x80; n = Math.floor(n / 0x80)) this.#buffer[this.at++] = (n % 0x80) | 0x80;
    this.#buffer[this.at++] = n;
  }

  put(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#buffer.set(bytes, this.at);
    this.at += bytes.length;
  }

  /** A text in UTF-8. Short ones of ASCII are written by hand, which is faster. */
  text(text: string): void {
    this.#room(3 * text.length);
    const b = this.#buffer;
    let i = 0;
    if (text.length < 64) {
      for (; i < text.length; i++) {
        const c = text.charCodeAt(i);
        if (c >= 0x80) break;
        b[this.at + i] = c;
      }
    }
    if (i < text.length) i = encoder.encodeInto(text, b.subarray(this.at)).written;
    this.at += i;
  }

  /** The head of a frame whose payload of n bytes follows. */
  head(first: number, id: number, n: number): void {
    this.#room(MAX_HEAD);
    this.#buffer[this.at++] = first;
    this.u(id);
    this.u(n);
  }

  /** A whole frame. */
  frame(first: number, id: number, payload: Uint8Array | string): void {
    this.wrap(first, id, () => this.value(payload), payload.length);
  }

  /** A frame of numbers. */
  numbers(first: number, id: number, ...list: number[]): void {
    this.wrap(
      first,
      id,
      () => {
        for (const n of list) this.u(n);
      },
      3,
    );
  }

  /** Bytes as they are, or a text in UTF-8. */
  value(data: Uint8Array | string): void {
    if (typeof data === "string") this.text(data);
    else this.put(data);
  }

  /** A frame whose payload the function writes, of about so many bytes: a good guess saves moving it. */
  wrap(first: number, id: number, payload: () => void, guess: number): void {
    this.head(first, id, guess);
    const start = this.at;
    this.payload = start;
    payload();
    const n = this.at - start;
    const moved = uSize(n) - uSize(guess);
    if (moved) {
      this.#room(moved);
      this.#buffer.copyWithin(start + moved, start, this.at);
    }
    if (n !== guess) {
      this.at = start - uSize(guess);
      this.u(n);
      this.at += n;
    }
  }

  /** Gives away a copy of what lies between the two places. */
  copy(from: number, to: number): Uint8Array {
    return this.#buffer.slice(from, to);
  }

  /** Begins anew. A buffer that bulk has stretched is let go. */
  clear(): void {
    this.at = 0;
    if (this.#buffer.length > 256 * 1024) this.#buffer = new Uint8Array(512);
  }
}
