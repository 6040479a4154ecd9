/**
 * Methods are typed constants, declared once and used by both sides. How values travel is told in
 * spec/README.md, section 4.
 */
import type { CallOptions } from "./call.ts";
import type { Checker } from "./check.ts";
import { FEEDS, TAKES } from "./exchange.ts";
import type { Items } from "./feed.ts";
import type { HandleOptions, Mux, Served } from "./mux.ts";
import type { Peer } from "./peer.ts";
import type { Stream } from "./stream.ts";
import { type Params, readValue, type Written, writeParams, writeValue } from "./value.ts";
import type { Reader } from "./wire.ts";

/** How the values of a method travel, and what checks those that come. What has no checker is believed. */
export interface Shape<A, In, Out, R> {
  /** How the argument travels. Unset: as a list of the one value. */
  readonly params?: Params;
  readonly args?: Checker<A>;
  /** Items that the caller streams, and such as the callee streams. */
  readonly in?: Checker<In>;
  readonly out?: Checker<Out>;
  readonly result?: Checker<R>;
  /** The names of members that go raw beside the JSON of an item or a result. */
  readonly inRaw?: string;
  readonly outRaw?: string;
  readonly resultRaw?: string;
}

/** A method that takes an A and answers once with an R. */
export interface Method<A, R> {
  readonly name: string;
  /** Asks the peer. The promise is rejected with a CallError. Bytes in the argument must not change until it is settled. */
  call(peer: Peer, argument: A, options?: CallOptions): Promise<R>;
  /**
   * Serves the method. What the handler throws reaches the caller as it is if it is a CallError;
   * anything else goes to PeerOptions.onError and reaches the caller as "internal", without its text.
   */
  handle(mux: Mux, handler: (argument: A, call: Served) => R | Promise<R>, options?: HandleOptions): void;
}

/** A method that takes an A and answers with a stream of Outs. */
export interface Source<A, Out> {
  readonly name: string;
  /** Asks the peer at once. How much comes before it is read is bounded: a reader that stops, stops the handler. */
  call(peer: Peer, argument: A, options?: CallOptions): Stream<Out>;
  /** The same, where Out is bytes. */
  bytes(peer: Peer, argument: A, options?: CallOptions): ReadableStream<Out>;
  handle(mux: Mux, handler: (argument: A, call: Served) => Items<Out>, options?: HandleOptions): void;
}

/** A method that takes an A and a stream of Ins, and answers once with an R. */
export interface Sink<A, In, R> {
  readonly name: string;
  /**
   * Feeds the items to the peer, no faster than they are taken. What the items throw cancels the call.
   * When the handler answers before it has taken all, the rest is left.
   */
  call(peer: Peer, argument: A, items: Items<In>, options?: CallOptions): Promise<R>;
  handle(
    mux: Mux,
    handler: (argument: A, items: AsyncIterable<In>, call: Served) => R | Promise<R>,
    options?: HandleOptions,
  ): void;
}

/** A method that takes an A and a stream of Ins, and answers with a stream of Outs. They run side by side. */
export interface Duplex<A, In, Out> {
  readonly name: string;
  call(peer: Peer, argument: A, items: Items<In>, options?: CallOptions): Stream<Out>;
  handle(
    mux: Mux,
    handler: (argument: A, items: AsyncIterable<In>, call: Served) => Items<Out>,
    options?: HandleOptions,
  ): void;
}

type Read = (form: number, r: Reader) => unknown;

/** Makes a ReadableStream of a stream: for Response, pipeTo and the like. */
export const readable = <T>(stream: Stream<T>): ReadableStream<T> =>
  new ReadableStream<T>(
    {
      async pull(controller): Promise<void> {
        const { done, value } = await stream.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: () => stream.cancel(),
    },
    { highWaterMark: 0 },
  );

// biome-ignore lint/suspicious/noExplicitAny: one maker for four kinds, whose types are said by the functions below
type Any = any;

const make = (name: string, mode: number, shape: Shape<Any, Any, Any, Any>): Any => {
  const { params = {}, out, result, inRaw, outRaw, resultRaw } = shape;
  const takes = mode & TAKES;
  const read: Read = (form, r) => (takes ? readValue(form, r, out, outRaw) : readValue(form, r, result, resultRaw));
  const writeItem = (value: unknown, plain: boolean): Written => writeValue(value, plain, inRaw);
  const call = (peer: Peer, argument: unknown, ...rest: unknown[]): unknown => {
    const [items, options] = mode & FEEDS ? rest : [undefined, rest[0]];
    const write = (plain: boolean): Written => writeParams(argument, params, plain);
    const feeding = items === undefined ? undefined : { items: items as Items<unknown>, write: writeItem };
    return peer[takes ? "open" : "ask"](name, write, read, options as CallOptions, feeding);
  };
  return {
    name,
    call,
    bytes: (...list: Parameters<typeof call>) => readable(call(...list) as Stream<unknown>),
    handle: (mux: Mux, handler: (...list: unknown[]) => unknown, options: HandleOptions = {}) =>
      mux.put({
        ...options,
        name,
        mode,
        shape,
        run: (argument, served, items) => (mode & FEEDS ? handler(argument, items, served) : handler(argument, served)),
      }),
  };
};

/** Declares a method that answers once. */
export const method = <A, R>(name: string, shape: Shape<A, never, never, R> = {}): Method<A, R> => make(name, 0, shape);

/** Declares a method that answers with a stream. */
export const source = <A, Out>(name: string, shape: Shape<A, never, Out, never> = {}): Source<A, Out> =>
  make(name, TAKES, shape);

/** Declares a method that is fed a stream. */
export const sink = <A, In, R>(name: string, shape: Shape<A, In, never, R> = {}): Sink<A, In, R> =>
  make(name, FEEDS, shape);

/** Declares a method with a stream each way. */
export const duplex = <A, In, Out>(name: string, shape: Shape<A, In, Out, never> = {}): Duplex<A, In, Out> =>
  make(name, FEEDS | TAKES, shape);
