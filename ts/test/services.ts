import { array, bytes, integer, string } from "../src/check.ts";
import { describe } from "../src/describe.ts";
import { duplex, Mux, method, sink, source } from "../src/index.ts";

/** The methods that the conversations of spec/vectors serve and call. */
export const Echo = method<Uint8Array, Uint8Array>("echo", {
  params: { form: "bytes" },
  args: bytes(),
  result: bytes(),
});
export const Hi = method<string, string>("hi", { args: string(), result: string() });
export const Add = method<number[], number>("add", {
  params: { by: "list" },
  args: array(integer(), 2, 2),
  result: integer(),
});
export const Hang = method<void, string>("hang", { params: { form: "none" }, result: string() });
export const Count = source<number, number>("count", { args: integer(), out: integer() });
export const Zero = source<number, Uint8Array>("zero", { args: integer(), out: bytes() });
export const Deaf = sink<void, Uint8Array, string>("deaf", { params: { form: "none" }, in: bytes(), result: string() });
export const Sum = sink<void, number, number>("sum", { params: { form: "none" }, in: integer(), result: integer() });
export const Twice = duplex<void, number, number>("twice", { params: { form: "none" }, in: integer(), out: integer() });

const aborted = (signal: AbortSignal): Promise<string> =>
  new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason));
  });

export const services = (): Mux => {
  const mux = new Mux();
  describe(mux);
  Echo.handle(mux, (b) => b);
  Hi.handle(mux, (name) => `hi ${name}`);
  Add.handle(mux, ([a = 0, b = 0]) => a + b);
  Hang.handle(mux, (_, { signal }) => aborted(signal));
  Count.handle(mux, function* (n) {
    for (let i = 0; i < n; i++) yield i;
  });
  Zero.handle(mux, function* (n) {
    for (let i = 0; i < n; i += 1000) yield new Uint8Array(Math.min(1000, n - i));
  });
  Deaf.handle(mux, (_, __, { signal }) => aborted(signal));
  Sum.handle(mux, async (_, items) => {
    let sum = 0;
    for await (const i of items) sum += i;
    return sum;
  });
  Twice.handle(mux, async function* (_, items) {
    for await (const i of items) yield 2 * i;
  });
  return mux;
};
