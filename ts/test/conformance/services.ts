import { describe } from "../../src/describe.ts";
import { CallError, type Code } from "../../src/error.ts";
import { keys } from "../../src/keyed.ts";
import { Mux } from "../../src/mux.ts";
import { concat, isPattern, pattern, upTo } from "./data.ts";
import {
  about,
  back,
  breakOff,
  cancelled,
  chat,
  count,
  crash,
  deaf,
  double,
  drip,
  echoes,
  fail,
  first,
  give,
  hang,
  hi,
  int,
  measure,
  metadata,
  parts,
  pass,
  read,
  refuse,
  started,
  tallied,
  tally,
  total,
  wait,
  write,
  zero,
} from "./methods.ts";
import { play } from "./play.ts";

/** The last names of events or counts. */
const recent = <T>(make: () => T): ((name: string) => T) => {
  const states = new Map<string, T>();
  return (name) => {
    const state = states.get(name) ?? make();
    states.set(name, state);
    if (states.size > 10_000) states.delete(states.keys().next().value as string);
    return state;
  };
};

interface Mark {
  readonly done: Promise<void>;
  readonly set: () => void;
}

const mark = (): Mark => {
  let set = (): void => {};
  const done = new Promise<void>((resolve) => {
    set = resolve;
  });
  return { done, set };
};

/** Waits for the signal. */
const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve());
  });

/** Fails when the signal has come, as a handler does that was given up. */
const given = async (signal: AbortSignal): Promise<never> => {
  await aborted(signal);
  throw signal.reason;
};

async function sum(items: AsyncIterable<number>, n: number): Promise<number> {
  let sum = 0;
  let left = n;
  if (left === 0) return 0;
  for await (const v of items) {
    sum += v;
    if (--left === 0) break;
  }
  return sum;
}

function* blocks(n: number, block: Uint8Array): Generator<Uint8Array> {
  for (let left = n; left > 0; left -= block.length) yield block.subarray(0, Math.min(left, block.length));
}

/** Serves the methods. */
export function services(offers: string[] = []): Mux {
  const mux = new Mux();
  describe(mux);
  about.handle(mux, () => ({ suite: 1, offers }));
  for (const echo of echoes) echo.handle(mux, (value) => value);
  measure.handle(mux, ({ data }) => ({ size: data.length, right: isPattern(data) }));
  give.handle(mux, (n) => {
    if (n < 0 || n > 64 << 20) throw new CallError("out_of_range", `${n} bytes`);
    return pattern(n);
  });
  hi.handle(mux, (name) => `hi ${name}`);
  mux.handle("add", (a: number, b: number) => a + b, { args: [int, int] });
  fail.handle(mux, ({ code, message, data }) => {
    throw new CallError(code as Code, message, data);
  });
  crash.handle(mux, () => {
    throw new Error("a secret");
  });
  metadata.handle(mux, (key, call) => call.metadata.get(key) ?? "");
  back.handle(mux, (call, { peer }) => play(peer, call));
  states(mux);
  streams(mux);
  return mux;
}

function states(mux: Mux): void {
  const begun = recent(mark);
  const over = recent(mark);
  const counts = recent(() => ({ n: 0 }));
  hang.handle(mux, (_, { signal }) => given(signal));
  wait.handle(mux, async (name, { signal }) => {
    begun(name).set();
    await aborted(signal);
    over(name).set();
    throw signal.reason;
  });
  drip.handle(mux, async function* (name, { signal }) {
    try {
      yield 0;
      begun(name).set();
      await aborted(signal);
    } finally {
      over(name).set();
    }
  });
  const happened =
    (marks: (name: string) => Mark) =>
    (name: string, { signal }: { signal: AbortSignal }): Promise<boolean> =>
      Promise.race([marks(name).done.then(() => true), aborted(signal).then(() => false)]);
  started.handle(mux, happened(begun), { pure: true });
  cancelled.handle(mux, happened(over), { pure: true });
  tally.handle(mux, (name) => ++counts(name).n, { keyed: keys() });
  tallied.handle(mux, (name) => counts(name).n, { pure: true });
}

function streams(mux: Mux): void {
  count.handle(mux, function* (n) {
    for (let i = 0; i < n; i++) yield i;
  });
  zero.handle(mux, (n) => blocks(n, new Uint8Array(32 << 10)));
  read.handle(mux, (n) => blocks(n, pattern(251 * 80)));
  parts.handle(mux, (n) => upTo(n).map((i) => ({ name: "part", data: pattern(i) })));
  breakOff.handle(mux, function* (n) {
    yield* upTo(n);
    throw new CallError("aborted", "broken off");
  });
  total.handle(mux, (_, items) => sum(items, -1));
  first.handle(mux, (n, items) => sum(items, n));
  refuse.handle(mux, async (n, items) => {
    await sum(items, n);
    throw new CallError("aborted", "no more");
  });
  write.handle(mux, async (_, items) => {
    const list: Uint8Array[] = [];
    for await (const b of items) list.push(b);
    return { name: "written", data: concat(list) };
  });
  deaf.handle(mux, (_, __, { signal }) => given(signal));
  chat.handle(mux, async function* (who, items) {
    for await (const word of items) yield `${who}: ${word}`;
  });
  double.handle(mux, async function* (_, items) {
    for await (const n of items) yield 2 * n;
  });
  pass.handle(mux, async function* (_, items) {
    yield* items;
  });
}
