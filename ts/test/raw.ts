import type { Conn } from "../src/conn.ts";
import { readError } from "../src/error.ts";
import { type Mux, Peer, type PeerOptions } from "../src/index.ts";
import { pipe } from "../src/pipe.ts";
import { type Frame, formed, LONG, OWN, Reader, Writer } from "../src/wire.ts";

export interface Got extends Frame {
  payload: Uint8Array;
}

/** Takes a message apart. */
export const framesOf = (message: Uint8Array): Got[] => {
  const list: Got[] = [];
  const r = new Reader(message);
  const f: Frame = { kind: 0, form: 0, own: false, long: false, id: 0 };
  const p = new Reader(message);
  while (r.at < r.end) {
    r.next(f, p);
    list.push({ ...f, payload: p.take().slice() });
  }
  return list;
};

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** A frame of the raw side. */
export const frame = (
  kind: number,
  id: number,
  payload: Uint8Array | string = "",
  { own = false, long = false, form = 0 } = {},
): Uint8Array => {
  const w = new Writer();
  w.frame(formed(kind | (own ? OWN : 0) | (long ? LONG : 0), form), id, payload);
  return w.copy(0, w.at);
};

export const u = (...numbers: number[]): Uint8Array => {
  const w = new Writer();
  for (const n of numbers) w.u(n);
  return w.copy(0, w.at);
};

export const join = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(parts));

/** A request of the raw side. */
export const request = (
  id: number,
  mode: number,
  method: string,
  args: string | Uint8Array = "",
  form = 0,
): Uint8Array =>
  frame(2, id, join(u(mode, 0, 0, method.length), utf8(method), typeof args === "string" ? utf8(args) : args), {
    own: true,
    form,
  });

export const hello = (limits: Record<string, number> = {}): Uint8Array =>
  frame(
    1,
    0,
    JSON.stringify({
      version: 1,
      agent: "raw",
      limits: { calls: 1024, streams: 256, value: 8_388_608, window: 32_768, ...limits },
    }),
  );

/** Waits until all that is under way in this process and needs no timer has happened. */
export const settle = async (turns = 20): Promise<void> => {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** A peer, and what it says to a side that is written by hand. */
export class Raw {
  readonly got: Got[] = [];
  readonly errors: unknown[] = [];
  readonly conn: Conn;
  readonly near: Conn;
  readonly peer: Peer;
  closed = false;

  constructor(mux: Mux, options: PeerOptions = {}) {
    const [near, far] = pipe();
    this.conn = far;
    this.near = near;
    far.start({
      message: (m) => {
        this.got.push(...framesOf(m));
      },
      closed: () => {
        this.closed = true;
      },
    });
    this.peer = new Peer(near, mux, {
      callTimeout: Infinity,
      keepAlive: Infinity,
      onError: (error) => this.errors.push(error),
      ...options,
    });
  }

  send(...messages: Uint8Array[]): void {
    for (const m of messages) this.conn.send(m);
  }

  kind(kind: number): Got[] {
    return this.got.filter((f) => f.kind === kind);
  }

  /** The errors that came for the raw side's calls. */
  refusals(): { id: number; code: string; executed: string }[] {
    return this.kind(4).map((f) => {
      const e = readError(f.payload);
      return { id: f.id, code: e.code, executed: e.executed };
    });
  }
}
