// What generated files use of the runtime, to hold them to it without building that.

declare module "@chumsync/chum" {
  import type { Checker } from "@chumsync/chum/check";

  /** One end of a connection. */
  export interface Peer {
    /** The hash of what the other side serves, as its hello says; "" if it does not say. */
    readonly schema: string;
  }

  export interface CallOptions {
    readonly signal?: AbortSignal;
    readonly timeout?: number;
    readonly metadata?: Readonly<Record<string, string>>;
    readonly repeat?: boolean;
    readonly key?: string;
    readonly priority?: -1 | 0 | 1;
  }

  /** How parameters travel. */
  export interface Params {
    readonly form?: "none" | "json" | "bytes" | "pair" | "any";
    readonly by?: "name" | "list";
    readonly positions?: readonly string[];
    readonly required?: number;
    readonly raw?: string;
  }

  export interface Shape<A, In, Out, R> {
    readonly params?: Params;
    readonly args?: Checker<A>;
    readonly in?: Checker<In>;
    readonly out?: Checker<Out>;
    readonly result?: Checker<R>;
    readonly inRaw?: string;
    readonly outRaw?: string;
    readonly resultRaw?: string;
  }

  export type Items<T> = Iterable<T> | AsyncIterable<T> | ReadableStream<T>;

  export interface Stream<T> extends AsyncIterableIterator<T, undefined> {
    cancel(): void;
  }

  export interface Method<A, R> {
    call(peer: Peer, argument: A, options?: CallOptions): Promise<R>;
  }
  export interface Source<A, Out> {
    call(peer: Peer, argument: A, options?: CallOptions): Stream<Out>;
    bytes(peer: Peer, argument: A, options?: CallOptions): ReadableStream<Out>;
  }
  export interface Sink<A, In, R> {
    call(peer: Peer, argument: A, items: Items<In>, options?: CallOptions): Promise<R>;
  }
  export interface Duplex<A, In, Out> {
    call(peer: Peer, argument: A, items: Items<In>, options?: CallOptions): Stream<Out>;
  }

  export const method: <A, R>(name: string, shape?: Shape<A, never, never, R>) => Method<A, R>;
  export const source: <A, Out>(name: string, shape?: Shape<A, never, Out, never>) => Source<A, Out>;
  export const sink: <A, In, R>(name: string, shape?: Shape<A, In, never, R>) => Sink<A, In, R>;
  export const duplex: <A, In, Out>(name: string, shape?: Shape<A, In, Out, never>) => Duplex<A, In, Out>;

  /** What a file was generated from. */
  export interface Expected {
    /** The hash of a hello that says that all is the same. */
    readonly schema: string;
    /** Of each method its name and kind, and the hashes of args, in, result and out; "" for one that it has not. */
    readonly methods: readonly (readonly [name: string, kind: string, args: string, input: string, result: string, out: string])[];
  }

  /** One thing in which the other side differs. */
  export interface Difference {
    readonly method: string;
    readonly part: "method" | "kind" | "args" | "in" | "result" | "out";
  }

  /** Asks rpc.methods for what differs, if the hello does not say that nothing does. */
  export const compare: (peer: Peer, expected: Expected) => Promise<Difference[]>;
}

declare module "@chumsync/chum/check" {
  export interface Checker<T> {
    (value: unknown, path: string): T;
    readonly zero?: T;
    readonly members?: ReadonlyMap<string, Checker<unknown>>;
    readonly optional?: true;
  }

  export type Checked<C> = C extends Checker<infer T> ? T : never;

  export interface Optional<T> extends Checker<T> {
    readonly optional: true;
  }

  export type Members<M> = {
    [K in keyof M as M[K] extends Optional<unknown> ? never : K]: Checked<M[K]>;
  } & {
    [K in keyof M as M[K] extends Optional<unknown> ? K : never]?: Checked<M[K]>;
  };

  export interface StringOptions {
    readonly pattern?: string;
    /** date-time is checked, and of a number in a string int8 to int64 and uint8 to uint64; others are for people. */
    readonly format?: string;
    readonly min?: number;
    readonly max?: number;
  }

  export const string: (options?: StringOptions) => Checker<string>;
  export const integer: (min: number, max: number) => Checker<number>;
  export const number: (min?: number, max?: number) => Checker<number>;
  export const boolean: () => Checker<boolean>;
  export const nothing: () => Checker<void>;
  /** Raw bytes. */
  export const bytes: (min?: number, max?: number) => Checker<Uint8Array>;
  /** Bytes within JSON; the bounds are those of the bytes. */
  export const base64: (min?: number, max?: number) => Checker<Uint8Array>;
  export const array: <T>(of: Checker<T>, min?: number, max?: number) => Checker<T[]>;
  export const tuple: <T extends readonly unknown[]>(...of: { readonly [K in keyof T]: Checker<T[K]> }) => Checker<T>;
  export const record: <T>(of: Checker<T>, names?: Checker<string>) => Checker<Record<string, T>>;
  export const object: <M extends Record<string, Checker<unknown>>>(members: M) => Checker<Members<M>>;
  export const optional: <T>(of: Checker<T>) => Optional<T>;
  export const nullable: <T>(of: Checker<T>) => Checker<T | null>;
  export const literal: <const T extends readonly (string | number | boolean | null)[]>(...of: T) => Checker<T[number]>;
  export const union: <T extends readonly unknown[]>(...of: { readonly [K in keyof T]: Checker<T[K]> }) => Checker<T[number]>;
  export const lazy: <T>(of: () => Checker<T>) => Checker<T>;
  export const unknown: () => Checker<unknown>;
}
