import type { Conn } from "../src/conn.ts";
import { CallError, type Mux, Peer, type PeerOptions } from "../src/index.ts";
import { pipe } from "../src/pipe.ts";
import { services } from "./services.ts";

export interface Pair {
  a: Peer;
  b: Peer;
  ends: [Conn, Conn];
  errors: unknown[];
}

/** Two peers on a pipe, which serve each other. */
export const pair = (a: PeerOptions = {}, b: PeerOptions = {}, mux: Mux = services()): Pair => {
  const ends = pipe();
  const errors: unknown[] = [];
  const onError = (error: unknown): void => {
    errors.push(error);
  };
  return {
    a: new Peer(ends[0], mux, { onError, ...a }),
    b: new Peer(ends[1], mux, { onError, ...b }),
    ends,
    errors,
  };
};

/** How a call failed. */
export const failed = async (promise: Promise<unknown>): Promise<[string, string, string]> => {
  try {
    await promise;
  } catch (e) {
    if (e instanceof CallError) return [e.code, e.executed, e.message];
    throw e;
  }
  throw new Error("it did not fail");
};

/** Nothing is open or waits any more at either end. */
export const idle = ({ a, b }: Pair): boolean =>
  [a, b].every(({ stats }) => stats.out.open + stats.in.open + stats.streams + stats.waiting === 0);

export const collect = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const list: T[] = [];
  for await (const i of items) list.push(i);
  return list;
};

/** A promise, and what settles it. */
export const gate = <T = void>(): { promise: Promise<T>; open: (value: T) => void } => {
  let open: (value: T) => void = () => {};
  const promise = new Promise<T>((resolve) => {
    open = resolve;
  });
  return { promise, open };
};
