import { getEventListeners } from "node:events";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Conn, Receiver } from "../src/conn.ts";
import { openSession, reopening, type SessionOptions, type State } from "../src/session.ts";
import { fakeCrypto } from "./fakecrypto.ts";
import { Network } from "./network.ts";
import { random } from "./random.ts";
import { ackHead, control, proofOf, type ServerSession, SessionServer, text } from "./sessionserver.ts";

beforeEach(() => {
  vi.useFakeTimers();
  fakeCrypto();
});
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

const signal = new AbortController().signal;

/** A connection whose other side the test itself is. */
class Wire implements Conn {
  to: Receiver | undefined;
  readonly sent: Uint8Array[] = [];
  buffered = 0;
  closes = 0;
  start(to: Receiver): void {
    this.to = to;
  }
  send(message: Uint8Array): void {
    this.sent.push(message);
  }
  close(): void {
    this.closes++;
  }
}

/** A session on connections that the test holds the other ends of, and what it told. */
async function begin(options: SessionOptions = {}) {
  const wires: Wire[] = [];
  const states: State[] = [];
  let refusing = false;
  const dial = async () => {
    if (refusing) throw new Error("refused");
    wires.push(new Wire());
    return wires.at(-1)!;
  };
  const conn = await openSession(dial, signal, { ...options, onState: (state) => states.push(state) });
  const got: Uint8Array[] = [];
  const ends: (Error | undefined)[] = [];
  conn.start({ message: (message) => got.push(message), closed: (error) => ends.push(error) });
  const wire = () => wires.at(-1)!;
  return {
    conn,
    wires,
    states,
    got,
    ends,
    wire,
    refuse(on: boolean) {
      refusing = on;
    },
    /** The server says something. */
    say: (message: Uint8Array) => wire().to!.message(message),
    opened: (grace = 60) => wire().to!.message(control(2, { id: "i", secret: "s", grace })),
    /** Waits for a resume, and answers it. */
    async resumed(received: number) {
      await vi.advanceTimersByTimeAsync(0);
      const asked = JSON.parse(text(wire().sent[0]!));
      wire().to!.message(control(4, { received, proof: proofOf("s", "resumed", "i", asked.try, received) }));
      await vi.advanceTimersByTimeAsync(0);
      return asked;
    },
  };
}

const data = (n: number, size = 3): Uint8Array => new Uint8Array(size).fill(n);

describe("schedules", () => {
  test.each(Array.from({ length: 10 }, (_, i) => i))(
    "of random cuts, refusals and silence: hundred %i",
    async (hundred) => {
      for (let seed = hundred * 100; seed < hundred * 100 + 100; seed++) await schedule(seed);
    },
  );
});

/** What one side sends, the other gets once, in order and all of it, whatever becomes of the connections. */
async function schedule(seed: number): Promise<void> {
  const next = random(seed);
  vi.spyOn(Math, "random").mockImplementation(random(seed + 1e6));
  const calm = { refuse: 0, cut: 0, stall: 0, delay: 5 };
  const server = new SessionServer();
  let there: ServerSession | undefined;
  let serverEnd = 0;
  const counts = [0, 0]; // that came to the client, to the server
  const check = (side: 0 | 1, message: Uint8Array) => {
    const n = ++counts[side]!;
    if (message.length < 3 || message[1] !== n >> 8 || message[2] !== (n & 255)) {
      throw new Error(`seed ${seed}: side ${side}: message ${n} is ${message.length} bytes, ${message.subarray(0, 9)}`);
    }
  };
  const net = new Network(random(seed + 2e6), calm, (conn) =>
    server.accept(conn, (session) => {
      there = session;
      session.start({
        message: (message) => check(1, message),
        closed: () => serverEnd++,
      });
    }),
  );
  const phases = new Set<string>();
  const here = await openSession(net.dial, signal, { onState: (state) => phases.add(state.phase) });
  const ends: (Error | undefined)[] = [];
  here.start({ message: (message) => check(0, message), closed: (error) => ends.push(error) });
  await vi.advanceTimersByTimeAsync(100); // a session that was never opened cannot be resumed
  net.faults = { refuse: next() * 0.5, cut: next() * 0.3, stall: next() * 0.05, delay: next() * 20 };

  const sent = [0, 0];
  const talk = (side: 0 | 1, conn: Conn) => {
    const n = ++sent[side]!;
    const message = new Uint8Array(3 + Math.floor(next() * (next() < 0.2 ? 5000 : 50))).fill(n);
    message[0] = next() < 0.5 ? 0 : 1; // begins like a control message
    message[1] = n >> 8;
    message[2] = n & 255;
    conn.send(message);
  };
  const most = Math.floor(next() * 60);
  for (let i = 0; i < most; i++) {
    if (next() < 0.6) talk(1, here);
    if (next() < 0.6) talk(0, there!);
    if (next() < 0.05) here.renew!(0, new Error("asked for"));
    if (next() < 0.1) for (const line of net.up) if (line.stalled) line.cut();
    await vi.advanceTimersByTimeAsync(next() * 30);
  }
  net.faults = calm;
  for (let i = 0; i < 20; i++) {
    for (const line of net.up) if (line.stalled) line.cut(); // as the layer above does in the end
    await vi.advanceTimersByTimeAsync(2000);
  }
  expect([counts, ends.length, here.buffered], `seed ${seed}`).toEqual([sent, 0, 0]);
  here.close();
  await vi.advanceTimersByTimeAsync(1000);
  expect([ends, serverEnd, phases.has("over")], `seed ${seed}`).toEqual([[undefined], 1, true]);
}

describe("opening", () => {
  test("sends open first, and data before the answer", async () => {
    const { conn, wire, opened, got, states } = await begin();
    conn.send(data(1));
    expect(wire().sent[0]).toEqual(control(1, { version: 1 }));
    expect(wire().sent[1]).toEqual(data(1));
    opened();
    wire().to!.message(data(2));
    expect(got).toEqual([data(2)]);
    conn.close();
    await vi.advanceTimersByTimeAsync(0);
    expect(wire().sent.at(-1)).toEqual(Uint8Array.of(0, 7));
    expect(wire().closes).toBe(1);
    expect(states.map((state) => state.phase)).toEqual(["connected", "over"]);
  });

  test.each([
    ["opened without id", control(2, {})],
    ["data", data(9)],
  ])("without a session when the answer is %s", async (_, answer) => {
    const { conn, wires, say, got, ends } = await begin();
    conn.send(data(1));
    say(answer);
    for (let i = 0; i < 300; i++) say(data(7));
    conn.send(data(2));
    expect(wires[0]!.sent.slice(1)).toEqual([data(1), data(2)]);
    expect(got.length).toBe(answer === undefined ? 300 : got[0]![0] === 9 ? 301 : 300);
    expect(conn.renew!(0, new Error("why"))).toBe(false);
    wires[0]!.to!.closed(new Error("cut"));
    await vi.advanceTimersByTimeAsync(100);
    expect(ends).toEqual([new Error("cut")]);
    expect(wires.length).toBe(1);
  });

  test("a cut before the answer is the end", async () => {
    const { wires, ends } = await begin();
    wires[0]!.to!.closed(new Error("cut"));
    await vi.advanceTimersByTimeAsync(100);
    expect([ends, wires.length]).toEqual([[new Error("cut")], 1]);
  });

  test("without WebCrypto there is none", async () => {
    vi.stubGlobal("crypto", {});
    const wire = new Wire();
    expect(await openSession(async () => wire, signal)).toBe(wire);
    expect(wire.sent).toEqual([]);
  });

  test.each([
    ["no JSON", Uint8Array.of(0, 2, 1)],
    ["no secret", control(2, { id: "i", grace: 1 })],
    ["a secret that is none", control(2, { id: "i", secret: 5, grace: 1 })],
    ["an id that is none", control(2, { id: ["i"], secret: "s", grace: 1 })],
    ["a negative grace", control(2, { id: "i", secret: "s", grace: -1 })],
    ["a huge grace", control(2, { id: "i", secret: "s", grace: 2 ** 21 })],
    ["too long", control(2, { id: "i", secret: "s".repeat(5000), grace: 1 })],
  ])("an answer that breaks the rules ends it: %s", async (_, answer) => {
    const { say, ends, wire, wires } = await begin();
    say(answer);
    await vi.advanceTimersByTimeAsync(0);
    expect(ends[0]?.message).toMatch(/^session: the other side broke the protocol/);
    expect([wire().closes, wires.length]).toEqual([1, 1]);
  });
});

describe("acks", () => {
  test("ride on data, or come after 1 s, 256 messages or 256 KiB", async () => {
    const { conn, wire, say, opened } = await begin();
    opened();
    const sent = wire().sent;
    sent.length = 0;
    say(data(1));
    conn.send(data(2));
    expect(sent.splice(0)).toEqual([Uint8Array.of(0, 6, 1, 2, 2, 2)]);
    conn.send(data(3));
    expect(sent.splice(0)).toEqual([data(3)]);
    say(data(4));
    await vi.advanceTimersByTimeAsync(999);
    expect(sent).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(sent.splice(0)).toEqual([Uint8Array.of(0, 6, 2)]);
    for (let i = 0; i < 255; i++) say(data(5));
    expect(sent).toEqual([]);
    say(data(5));
    expect(sent.splice(0)).toEqual([Uint8Array.from(ackHead(258))]);
    say(data(6, (256 << 10) - 1));
    expect(sent).toEqual([]);
    say(data(6, 1));
    expect(sent.splice(0)).toEqual([Uint8Array.from(ackHead(260))]);
    say(data(7));
    conn.send(data(8, 1 << 20)); // with a head it would be too long
    expect(sent.splice(0).map((message) => message.length)).toEqual([1 << 20]);
    conn.close();
    await vi.advanceTimersByTimeAsync(0);
  });

  test.each([
    ["more than was sent", Uint8Array.of(0, 6, 3)],
    ["less than before", Uint8Array.of(0, 6, 0)],
    ["not in its shortest form", Uint8Array.of(0, 6, 0x81, 0)],
    ["cut short", Uint8Array.of(0, 6, 0x81)],
    ["none", Uint8Array.of(0, 6)],
    ["too large", Uint8Array.of(0, 6, ...Array(8).fill(255), 1)],
    ["another op", control(2, { id: "i", secret: "s", grace: 60 })],
    ["an unknown op", Uint8Array.of(0, 9)],
    ["no op", Uint8Array.of(0)],
  ])("that are out of place end the session: %s", async (_, ack) => {
    const { conn, say, opened, ends, wire, got } = await begin();
    opened();
    conn.send(data(1));
    conn.send(data(1));
    say(Uint8Array.of(0, 6, 1));
    say(ack);
    say(data(1)); // is not delivered any more
    await vi.advanceTimersByTimeAsync(0);
    expect(ends[0]?.message).toMatch(/^session: the other side broke the protocol/);
    expect([wire().closes, got]).toEqual([1, []]);
  });

  test("free memory: what is held is bounded", async () => {
    const { conn, wire, say, opened, ends } = await begin({ buffer: 1 << 20 });
    opened();
    wire().buffered = 7;
    for (let i = 0; i < 10; i++) conn.send(data(1, 100_000));
    expect(conn.buffered).toBe(7);
    for (let i = 0; i < 5; i++) conn.send(data(1, 100_000));
    expect(conn.buffered).toBeGreaterThan(400_000);
    say(Uint8Array.of(0, 6, 15));
    expect(conn.buffered).toBe(7);
    for (let i = 0; i < 21; i++) conn.send(data(1, 100_000));
    await vi.advanceTimersByTimeAsync(0);
    expect(ends[0]?.message).toMatch(/acknowledged nothing/);
  });
});

describe("resuming", () => {
  test("proves, and sends what the other side lacks", async () => {
    const { conn, wires, say, opened, resumed, wire, got, states } = await begin();
    opened();
    for (const n of [1, 2, 3]) conn.send(data(n));
    say(data(4));
    wire().to!.closed();
    conn.send(data(5));
    expect(conn.buffered).toBeGreaterThan(0);
    expect(await resumed(2)).toEqual({ id: "i", try: 1, received: 1, proof: proofOf("s", "resume", "i", 1, 1) });
    expect(wire().sent.slice(1)).toEqual([data(3), data(5)]);
    wires[0]!.to!.message(data(9)); // of the connection before: nobody counts it
    say(data(6));
    expect(got).toEqual([data(4), data(6)]);
    expect(conn.renew!(0, new Error("why"))).toBe(true);
    expect((await resumed(4)).received).toBe(2);
    wires[1]!.to!.message(data(9));
    wires[1]!.to!.closed();
    expect([wire().sent.length, got.length, wires.length]).toEqual([1, 2, 3]);
    conn.close();
    await vi.advanceTimersByTimeAsync(0);
    const phases = states.map((state) => state.phase);
    expect(phases).toEqual(["connected", "waiting", "resumed", "waiting", "resumed", "over"]);
  });

  test("what comes right behind the answer is not lost while its proof is checked", async () => {
    const { conn, opened, wire, got } = await begin();
    opened();
    wire().to!.closed();
    await vi.advanceTimersByTimeAsync(0);
    wire().to!.message(control(4, { received: 0, proof: proofOf("s", "resumed", "i", 1, 0) }));
    wire().to!.message(data(1));
    wire().to!.message(data(2));
    await vi.advanceTimersByTimeAsync(0);
    expect(got).toEqual([data(1), data(2)]);
    conn.close();
    await vi.advanceTimersByTimeAsync(0);
  });

  test.each([
    ["a wrong proof", control(4, { received: 0, proof: proofOf("another", "resumed", "i", 1, 0) })],
    ["our own proof", control(4, { received: 0, proof: proofOf("s", "resume", "i", 1, 0) })],
    ["no proof", control(4, { received: 0 })],
    ["opened", control(2, { id: "i", secret: "s", grace: 60 })],
    ["data", data(1)],
    ["no JSON", Uint8Array.of(0, 4, 200)],
    ["null", Uint8Array.of(0, 4, ...new TextEncoder().encode("null"))],
  ])("does not believe %s, and tries again with a new number", async (_, answer) => {
    const { conn, opened, wires, wire, resumed, got } = await begin();
    opened();
    wire().to!.closed();
    await vi.advanceTimersByTimeAsync(0);
    wire().to!.message(answer);
    await vi.advanceTimersByTimeAsync(100);
    expect(wires[1]!.closes).toBe(1);
    expect(wires.length).toBe(3);
    expect((await resumed(0)).try).toBe(2);
    conn.send(data(2));
    expect([wire().sent.at(-1), got]).toEqual([data(2), []]);
    conn.close();
    await vi.advanceTimersByTimeAsync(0);
  });

  test("a connection that ends while the proof is checked is not taken", async () => {
    const { conn, opened, wires, wire } = await begin();
    opened();
    wire().to!.closed();
    await vi.advanceTimersByTimeAsync(0);
    wire().to!.message(control(4, { received: 0, proof: proofOf("s", "resumed", "i", 1, 0) }));
    wire().to!.closed(new Error("cut"));
    await vi.advanceTimersByTimeAsync(100);
    expect(wires.length).toBe(3);
    conn.close();
    await vi.advanceTimersByTimeAsync(0);
    expect(wires[2]!.closes).toBe(1);
  });

  test.each([-1, 2, 0.5, "1", null])("an answer with an impossible count ends it: %s", async (count) => {
    const { conn, opened, wire, ends } = await begin();
    opened();
    conn.send(data(1));
    wire().to!.closed();
    await vi.advanceTimersByTimeAsync(0);
    const proof = proofOf("s", "resumed", "i", 1, count as number);
    wire().to!.message(control(4, { received: count, proof }));
    await vi.advanceTimersByTimeAsync(0);
    expect(ends[0]?.message).toMatch(/^session: the other side broke the protocol/);
    expect(wire().closes).toBe(1);
  });

  test("a refusal ends it", async () => {
    const { opened, wire, wires, ends, states } = await begin();
    opened();
    wire().to!.closed();
    await vi.advanceTimersByTimeAsync(0);
    wire().to!.message(control(5, { reason: "not known here" }));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(ends).toEqual([new Error("session: lost: the server refused to resume it: not known here")]);
    expect([wires.length, wire().closes]).toEqual([2, 1]);
    expect(states.at(-1)).toEqual({ phase: "over", error: ends[0] });
  });

  test("goes on for the grace, with growing waits", async () => {
    const { opened, wire, ends, refuse, states } = await begin({ grace: 20_000 });
    opened(60);
    vi.spyOn(Math, "random").mockReturnValue(0.999);
    refuse(true);
    const start = Date.now();
    wire().to!.closed();
    await vi.advanceTimersByTimeAsync(19_900);
    expect(ends).toEqual([]);
    const waits = states.flatMap((state) => (state.phase === "waiting" ? [state.next - start] : []));
    const steps = waits.map((at, i) => Math.round(at - (waits[i - 1] ?? 0)));
    expect(steps.slice(0, 8)).toEqual([0, 100, 199, 399, 799, 1598, 2997, 2997]);
    await vi.advanceTimersByTimeAsync(100);
    expect(ends[0]?.message).toBe("session: lost: no connection within 20 s: refused");
  });

  test("a try has 8 s", async () => {
    const { conn, opened, wire, wires, states } = await begin();
    opened();
    wire().to!.closed();
    await vi.advanceTimersByTimeAsync(7_999);
    expect(wires[1]!.closes).toBe(0);
    await vi.advanceTimersByTimeAsync(101);
    expect(wires[1]!.closes).toBe(1);
    expect(wires.length).toBe(3);
    expect(states.at(-1)).toMatchObject({ phase: "waiting", attempt: 2, error: new Error("no answer within 8 s") });
    conn.close();
    await vi.advanceTimersByTimeAsync(0);
  });

  test("does not wait when the network is back", async () => {
    const window = new EventTarget();
    vi.stubGlobal("addEventListener", window.addEventListener.bind(window));
    const { conn, opened, wire, wires, refuse } = await begin();
    opened();
    refuse(true);
    vi.spyOn(Math, "random").mockReturnValue(0.999);
    wire().to!.closed();
    await vi.advanceTimersByTimeAsync(1600); // tries after 0, 100, 300, 700, 1500 ms
    refuse(false);
    window.dispatchEvent(new Event("online"));
    await vi.advanceTimersByTimeAsync(0);
    expect(wires.length).toBe(2);
    expect(getEventListeners(window, "online")).toEqual([]);
    conn.close();
    await vi.advanceTimersByTimeAsync(0);
  });

  test("waits between connections that are cut before they bring anything", async () => {
    const { conn, opened, resumed, wire, states } = await begin();
    vi.spyOn(Math, "random").mockReturnValue(0.999);
    opened();
    wire().to!.closed();
    for (let i = 0; i < 5; i++) {
      await resumed(0);
      wire().to!.closed();
      await vi.advanceTimersByTimeAsync(0);
      const state = states.at(-1)!;
      const wait = state.phase === "waiting" ? state.next - Date.now() : 0;
      expect([state, Math.round(wait)]).toMatchObject([{ attempt: i + 2 }, Math.round(99.9 * 2 ** i)]);
      await vi.advanceTimersByTimeAsync(wait);
    }
    await resumed(0);
    wire().to!.message(data(1)); // something
    wire().to!.closed();
    await vi.advanceTimersByTimeAsync(0);
    expect(states.at(-1)).toMatchObject({ phase: "waiting", attempt: 1 });
    conn.close();
    await vi.advanceTimersByTimeAsync(0);
  });

  test("renews a connection that is asked to, but not for ever", async () => {
    const { conn, opened, resumed, wires, ends } = await begin();
    opened();
    const why = new Error("silent");
    expect(conn.renew!(1000, why)).toBe(true); // it is younger
    expect(wires[0]!.closes).toBe(0);
    conn.send(data(1));
    for (let i = 1; i <= 2; i++) {
      await vi.advanceTimersByTimeAsync(5000);
      expect(conn.renew!(1000, why)).toBe(true);
      expect(wires[i - 1]!.closes).toBe(1);
      expect(conn.renew!(1000, why)).toBe(true); // it has none now
      await resumed(0);
    }
    await vi.advanceTimersByTimeAsync(5000);
    expect(conn.renew!(1000, why)).toBe(false); // nobody takes anything there
    expect(ends).toEqual([]);
    conn.close();
    await vi.advanceTimersByTimeAsync(0);
    expect(conn.renew!(0, why)).toBe(false);
  });

  const moments = ["between tries", "while a proof is made", "amid a try", "while a proof is checked"];
  test.each(moments)("closing ends it %s", async (when) => {
    const { conn, opened, wire, wires, ends, states, refuse } = await begin();
    opened();
    let go = () => {};
    if (when === "while a proof is made") {
      vi.mocked(crypto.subtle.sign).mockReturnValue(
        new Promise((resolve) => (go = () => resolve(new ArrayBuffer(32)))),
      );
    }
    refuse(when === "between tries");
    wire().to!.closed();
    await vi.advanceTimersByTimeAsync(0);
    if (when === "while a proof is checked") {
      wire().to!.message(control(4, { received: 0, proof: proofOf("s", "resumed", "i", 1, 0) }));
    }
    conn.close();
    conn.close();
    go();
    await vi.advanceTimersByTimeAsync(0);
    if (when !== "between tries") expect(wires[1]!.closes).toBe(1);
    await vi.advanceTimersByTimeAsync(60_000);
    expect([ends, wires.length]).toEqual([[undefined], when === "between tries" ? 1 : 2]);
    expect(states.at(-1)?.phase).toBe("over");
  });
});

test("what is asked to open anew tries until it may", async () => {
  const states: State[] = [];
  let left = 4;
  vi.spyOn(Math, "random").mockReturnValue(0.999);
  const dial = async () => {
    if (--left > 0) throw new Error("refused");
    return new Wire();
  };
  const reopen = reopening(dial, { onState: (state) => states.push(state) });
  const promise = reopen(signal);
  await vi.advanceTimersByTimeAsync(1000);
  const conn = await promise;
  conn.close();
  await vi.advanceTimersByTimeAsync(0);
  expect(states.map((state) => (state.phase === "waiting" ? state.attempt : state.phase))).toEqual([
    1,
    2,
    3,
    4,
    "connected",
    "over",
  ]);
  // The next one waits, since this connection brought nothing.
  void reopen(signal).then((conn) => conn.close());
  await vi.advanceTimersByTimeAsync(0);
  expect(states.at(-1)).toMatchObject({ phase: "waiting", attempt: 5 });
  await vi.advanceTimersByTimeAsync(30_000);
  expect(states.at(-1)).toMatchObject({ phase: "over" });

  const stop = new AbortController();
  left = 1e9;
  const never = expect(reopen(stop.signal)).rejects.toThrow("enough");
  await vi.advanceTimersByTimeAsync(3_600_000);
  stop.abort(new Error("enough"));
  await never;
});
