import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { method, sink, source } from "../src/method.ts";
import { Mux } from "../src/mux.ts";
import { Peer } from "../src/peer.ts";
import { openSession } from "../src/session.ts";
import { fakeCrypto } from "./fakecrypto.ts";
import { Network } from "./network.ts";
import { random } from "./random.ts";
import { SessionServer } from "./sessionserver.ts";

beforeEach(() => {
  vi.useFakeTimers();
  fakeCrypto();
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const Note = method<number, number>("note");
const Count = source<number, number>("count");
const Total = sink<void, number, number>("total", { params: { form: "none" } });

/** Services that write down what ran. */
function services(ran: number[]): Mux {
  const mux = new Mux();
  Note.handle(mux, (n) => {
    ran.push(n);
    return n;
  });
  Count.handle(mux, (n) => upTo(n));
  Total.handle(mux, async (_, items) => {
    let sum = 0;
    for await (const n of items) sum += n;
    return sum;
  });
  return mux;
}

async function* upTo(n: number): AsyncGenerator<number> {
  for (let i = 0; i < n; i++) yield i;
}

/** Everything that may be asked of a peer, by its number, and what must come out. */
async function ask(peer: Peer, n: number, kind: number): Promise<void> {
  const size = (n % 7) * 40;
  if (kind < 0.6) expect(await Note.call(peer, n, { timeout: Infinity })).toBe(n);
  else if (kind < 0.8) expect(await Total.call(peer, undefined, upTo(size))).toBe(size && (size * (size - 1)) / 2);
  else {
    let at = 0;
    for await (const item of Count.call(peer, size)) expect(item).toBe(at++);
    expect(at).toBe(size);
  }
}

test.each(Array.from({ length: 8 }, (_, i) => i))(
  "calls and streams both ways over random cuts, refusals and silence: 25 from %i times that",
  async (part) => {
    for (let seed = part * 25; seed < part * 25 + 25; seed++) await schedule(seed);
  },
);

/** Each call runs once and is answered once, whatever becomes of the connections. */
async function schedule(seed: number): Promise<void> {
  const next = random(seed);
  vi.spyOn(Math, "random").mockImplementation(random(seed + 1e6));
  const calm = { refuse: 0, cut: 0, stall: 0, delay: 5 };
  const server = new SessionServer();
  const ran: [number[], number[]] = [[], []]; // at the client, at the server
  const errors: unknown[] = [];
  const onError = (error: unknown): void => void errors.push(error);
  let there: Peer | undefined;
  const net = new Network(random(seed + 2e6), calm, (conn) =>
    server.accept(conn, (session) => {
      there = new Peer(session, services(ran[1]), { onError });
    }),
  );
  const session = await openSession(net.dial, new AbortController().signal);
  const here = new Peer(session, services(ran[0]), { onError });
  await vi.advanceTimersByTimeAsync(100);
  await here.ready;
  net.faults = { refuse: next() * 0.5, cut: next() * 0.3, stall: next() * 0.03, delay: next() * 20 };

  const asked: [number[], number[]] = [[], []];
  const answers: Promise<void>[] = [];
  for (let n = 0; n < 40; n++) {
    const side = next() < 0.5 ? 0 : 1;
    const kind = next();
    if (kind < 0.6) asked[side === 0 ? 1 : 0].push(n);
    answers.push(ask(side === 0 ? here : there!, n, kind).catch(onError));
    if (next() < 0.4) await vi.advanceTimersByTimeAsync(next() * 200);
  }
  await vi.advanceTimersByTimeAsync(60_000); // a connection that is silent is noticed, too
  net.faults = calm;
  let settled = false;
  void Promise.all(answers).finally(() => {
    settled = true;
  });
  for (let i = 0; i < 100 && !settled; i++) await vi.advanceTimersByTimeAsync(2000);
  expect([settled, errors], `seed ${seed}`).toEqual([true, []]);
  for (const side of [0, 1] as const) {
    expect(
      ran[side].sort((a, b) => a - b),
      `seed ${seed}`,
    ).toEqual(asked[side]); // once each
  }
  const { stats } = here;
  expect([stats.out.open, stats.in.open, stats.out.failed, stats.in.failed], `seed ${seed}`).toEqual([0, 0, 0, 0]);
  here.close();
  await vi.advanceTimersByTimeAsync(1000);
  await Promise.all([here.done, there!.done]);
}
