import type { Checker } from "./check.ts";
import type { Core } from "./core.ts";
import type { CallError } from "./error.ts";
import type { Shape } from "./method.ts";
import type { Peer } from "./peer.ts";
import { type Request, type Serving, serve } from "./serve.ts";
import type { Written } from "./value.ts";

/** The call that a handler serves. */
export interface Served {
  /** The peer that made the call, for calling back. */
  readonly peer: Peer;
  /** Aborted when the caller cancels, when its time is over, or when the connection ends. */
  readonly signal: AbortSignal;
  /** What the caller sent beside the arguments. */
  readonly metadata: ReadonlyMap<string, string>;
}

/** What is stated of a method where it is served. */
export interface HandleOptions {
  /** It may be executed twice without harm, as reading may. Unset: calls that may be repeated are refused. */
  readonly pure?: boolean;
  /**
   * It may be called again with the same key: the first result is given again, as long as these, of
   * `@chumsync/chum/keyed`, keep it. The handler finds the key in the metadata, as "rpc.key". Unset: calls with a key are
   * refused.
   */
  readonly keyed?: Keys;
}

/** Remembers calls by their keys. */
export interface Keys {
  /** Runs the first call of this name, which holds method and key; others with the same arguments get its result. */
  once(name: string, form: number, args: Uint8Array, run: () => Written | Promise<Written>): Promise<Written>;
}

/** One method as the serving side knows it. */
export interface Service extends HandleOptions {
  readonly name: string;
  readonly mode: number;
  readonly shape: Shape<unknown, unknown, unknown, unknown>;
  /** Runs the handler: it gives the result or a promise of it, or what is to be streamed. */
  run(argument: unknown, call: Served, items: AsyncIterable<unknown>): unknown;
}

/** Holds the services of one side: methods by name. Any number of peers may share one. */
export class Mux {
  /** @internal */
  readonly services: Map<string, Service> = new Map();

  /**
   * Serves a plain function: its arguments are given by position, and checked if there are checkers
   * for them. A last one that is bytes travels raw.
   */
  handle<A extends readonly unknown[]>(
    name: string,
    fn: (...args: A) => unknown,
    options: HandleOptions & { readonly args?: { readonly [K in keyof A]: Checker<A[K]> } } = {},
  ): void {
    const { args: checks, ...rest } = options;
    const check: Checker<unknown> | undefined =
      checks &&
      ((value) => {
        const list = value as unknown[];
        if (list.length !== checks.length) throw new Error(`${checks.length} arguments are needed`);
        return checks.map((c, i) => c(list[i], `argument ${i + 1}`));
      });
    const shape = { params: { form: "any" as const }, ...(check && { args: check }) };
    this.put({ ...rest, name, mode: 0, shape, run: (list) => fn(...(list as A)) });
  }

  /** Adds a service; see Method.handle for typed ones. A bad or taken name is a mistake in the program, so it throws. */
  put(service: Service): void {
    const { name } = service;
    if (!/^[\w.-]{1,128}$/.test(name)) throw new Error(`method name ${JSON.stringify(name)}`);
    if (this.services.has(name)) throw new Error(`method ${name} is on the Mux already`);
    this.services.set(name, service);
  }

  /** @internal Takes a call, or says why not. Who makes no Mux need not load what serves. */
  serve(core: Core, request: Request): Serving | CallError {
    return serve(core, this, request);
  }
}
