import type { Call } from "./call.ts";
import type { Conn } from "./conn.ts";
import { type CallError, failure, restate, textOf } from "./error.ts";
import { writeHello } from "./hello.ts";
import { writeJSON } from "./json.ts";
import { type Line, newLine, TIMES } from "./line.ts";
import type { Mux } from "./mux.ts";
import type { PeerOptions } from "./options.ts";
import type { Peer } from "./peer.ts";
import { eachFrame, receive } from "./receive.ts";
import type { Serving } from "./serve.ts";
import type { CallStats, Stats, Traffic } from "./stats.ts";
import { after } from "./time.ts";
import { BYE, GOAWAY, HELLO, MAX_MESSAGE, PING, type Reader, Writer } from "./wire.ts";

/** What stands behind a Peer: its calls of both directions, and one connection after the other. */
export interface Core {
  readonly peer: Peer;
  readonly mux: Mux | undefined;
  readonly limits: {
    readonly calls: number;
    readonly streams: number;
    readonly value: number;
    readonly assembly: number;
  };
  readonly callTimeout: number;
  readonly idle: number;
  /** It goes on over another connection when this one is lost. */
  readonly redials: boolean;
  readonly calls: Map<number, Call>;
  readonly servings: Map<number, Serving>;
  readonly stats: { -readonly [K in keyof Stats]: Stats[K] } & {
    out: CallStats;
    in: CallStats;
    sent: Traffic;
    received: Traffic;
  };
  line: Line;
  /** When the last message came. */
  now: number;
  lastCall: number;
  /** Of our calls, and of those of the other side, such as stream. */
  streams: number;
  streaming: number;
  /** Bytes of long values that are arriving or not consumed yet, and of long answers that wait to be taken. */
  assembling: number;
  answering: number;
  /** What the windows of all streams have grown by. */
  grown: number;
  draining: boolean;
  /** Begins on a connection. */
  attach(conn: Conn): void;
  /** The other side is there. */
  greeted(): void;
  /** Takes in the answer to a ping. */
  pong(payload: Reader): void;
  /** Why no more calls are made, if none are. */
  refusal(): CallError | undefined;
  /** A call has ended. */
  settled(): void;
  /** Settles everything with the error, and closes the connection, after a last word if there is one. */
  end(lost: CallError, why?: CallError, bye?: object): void;
  /** Ends in order. */
  close(): void;
  /** The connection is lost: goes on with another, or ends. In order: what ends the peer is then no error. */
  lost(e: CallError, inOrder?: boolean): void;
  /** Takes no more calls, and ends when none is open. */
  drain(): void;
  report(error: unknown, method?: string): void;
  /** Counts a frame in vain. */
  inVain(cost: number): void;
  /** The figures of now. */
  figures(): Stats;
}

const noCalls = (): CallStats => ({ open: 0, started: 0, succeeded: 0, failed: 0 });
const closedHere = (): CallError => failure("unavailable", "no", "closed at this end");
const connectionLost = (why: Error): CallError => failure("unavailable", "maybe", "the connection was lost", why);

/** Makes the core of a peer; greeted is called when the other side is there, gone with what ended it. */
export const newCore = (
  peer: Peer,
  mux: Mux | undefined,
  options: PeerOptions,
  greeted: () => void,
  gone: (lost: CallError, why?: CallError) => void,
): Core => {
  const { maxCalls = 1024, maxStreams = 256, maxValue = 8 * 2 ** 20, maxAssembly = 64 * 2 ** 20 } = options;
  const { callTimeout = 30_000, keepAlive = 15_000, idle = 300_000, agent = "chum-ts" } = options;
  const { redial, trace, onError = (e, method = "") => console.error("chum:", method, e) } = options;
  const life = new AbortController();
  let error: CallError | undefined;
  let over = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let tickAt = Infinity;
  let nextPing = Infinity;
  let pinged = 0; // when
  let pings = 0;

  const lineOf = (): Line =>
    newLine(
      (message) => {
        const { sent } = core.stats;
        sent.bytes += message.length;
        sent.messages++;
        if (trace) eachFrame(message, (f, p) => trace({ ...f, sent: true, payload: p.take() }));
      },
      () => {
        watch();
        core.settled();
      },
    );

  /** Says a first or last word. */
  const say = (kind: number, text: string): void => {
    const w = new Writer();
    w.frame(kind, 0, text);
    core.line.say(w.copy(0));
  };

  const abandon = (): void => {
    for (const s of core.servings.values()) s.abandon(failure("cancelled", "yes", "the connection is gone"));
  };

  /** Settles what cannot go on over another connection, queues the rest for it, and dials. */
  const again = (dial: NonNullable<typeof redial>, lost: CallError): void => {
    for (const call of core.calls.values()) {
      const ran = call.executed();
      if (call.mode || (!call.repeat && ran !== "no")) call.settle(restate(lost, ran));
      else call.hold(ran === "maybe");
    }
    abandon();
    core.line.end();
    core.line = lineOf();
    nextPing = Infinity;
    for (const call of core.calls.values()) call.enqueue(performance.now()); // a Map keeps their order
    dial(life.signal).then(
      (conn) => {
        if (over) return conn.close();
        core.stats.redials++;
        core.attach(conn);
      },
      (why) => {
        const e = failure("unavailable", "maybe", "there is no other connection", why);
        core.end(e, e);
      },
    );
  };

  const take = (line: Line, message: Uint8Array): void => {
    const { received } = core.stats;
    received.bytes += message.length;
    received.messages++;
    line.due.delete("pong"); // whatever comes is a sign of life
    core.now = performance.now();
    line.patience.grow(core.now);
    try {
      if (!message.length || message.length > MAX_MESSAGE) throw new Error(`a message of ${message.length} bytes`);
      eachFrame(message, (f, p) => {
        if (core.line !== line || over) return;
        trace?.({ ...f, sent: false, payload: p.bytes.subarray(p.at, p.end) });
        receive(core, f, p);
      });
    } catch (bad) {
      const e = failure("unavailable", "maybe", "the other side broke the protocol", bad);
      core.report(e);
      core.end(e, e, { code: "invalid_argument", message: textOf(bad) });
    }
    line.kick();
  };

  const ping = (): void => {
    const { line } = core;
    pinged = performance.now();
    pings = (pings + 1) & 127;
    line.next().frame(PING, 0, pings);
    if (keepAlive === Infinity) return;
    line.expect("pong");
    nextPing = pinged + keepAlive;
  };

  /** Sees to it that what is due next will be done. While a pong is awaited, the next ping waits for it. */
  const watch = (): void => {
    const { due } = core.line;
    const next = Math.min(due.has("pong") ? Infinity : nextPing, ...due.values());
    if (over || next >= tickAt) return;
    tickAt = next;
    clearTimeout(timer);
    timer = after(Math.max(0, next - performance.now()), tick);
  };

  const tick = (): void => {
    const { line } = core;
    const now = performance.now();
    tickAt = Infinity;
    for (const [what, by] of line.due) {
      if (now < by) continue;
      const why = new Error(`no ${what} within ${TIMES[what] / 1000} s`);
      if (what === "hello" || !line.conn?.renew?.(TIMES[what], why)) {
        core.report(why);
        return core.lost(connectionLost(why));
      }
      for (const what of line.due.keys()) line.expect(what);
    }
    if (now >= nextPing && !line.due.has("pong")) ping();
    watch();
  };

  const core: Core = {
    peer,
    mux,
    limits: { calls: maxCalls, streams: maxStreams, value: maxValue, assembly: maxAssembly },
    callTimeout,
    idle,
    redials: redial !== undefined,
    calls: new Map(),
    servings: new Map(),
    stats: {
      out: noCalls(),
      in: noCalls(),
      sent: { bytes: 0, messages: 0 },
      received: { bytes: 0, messages: 0 },
      streams: 0,
      waiting: 0,
      roundTrip: 0,
      redials: 0,
      late: 0,
      strikes: 0,
      inVain: 0,
    },
    line: undefined as never, // made below
    now: 0,
    lastCall: 0,
    streams: 0,
    streaming: 0,
    assembling: 0,
    answering: 0,
    grown: 0,
    draining: false,

    attach(conn): void {
      const { line } = core;
      line.conn = conn;
      conn.start({
        message: (m) => {
          if (core.line === line && !over) take(line, m);
        },
        closed: (why = new Error("without a word")) => {
          if (core.line === line) core.lost(connectionLost(why));
        },
      });
      say(HELLO, writeHello(agent, maxCalls, maxStreams, maxValue));
      line.expect("hello");
      watch();
    },

    greeted(): void {
      core.line.due.delete("hello");
      ping();
      greeted();
    },

    pong(payload): void {
      if (payload.left === 1 && payload.bytes[payload.at] === pings) core.stats.roundTrip = performance.now() - pinged;
    },

    refusal: () =>
      error
        ? failure("unavailable", "no", "the connection is gone", error)
        : over || core.draining
          ? closedHere()
          : undefined,

    settled(): void {
      const { line, calls, stats, draining } = core;
      if (draining && !calls.size && !stats.in.open && (!line.open || line.idle())) {
        core.close();
      }
    },

    close(): void {
      core.end(closedHere(), undefined, { message: "closed" });
    },

    end(lost, why, bye): void {
      if (over) return;
      over = true;
      error = why;
      clearTimeout(timer);
      for (const call of core.calls.values()) call.settle(restate(lost, call.executed()));
      abandon();
      life.abort(lost);
      if (bye) say(BYE, writeJSON(bye));
      core.line.end();
      gone(lost, why);
    },

    lost(e, inOrder): void {
      if (over) return;
      if (redial && !core.draining) again(redial, e);
      else core.end(e, inOrder ? undefined : e);
    },

    drain(): void {
      if (core.draining || over) return;
      core.draining = true;
      core.line.next().frame(GOAWAY, 0, core.line.lastServed);
      core.settled();
    },

    report: onError,

    inVain(cost): void {
      core.stats.inVain++;
      core.line.patience.spend(cost);
    },

    figures(): Stats {
      const { calls, servings, stats, line } = core;
      stats.out.open = calls.size;
      stats.streams = core.streams + core.streaming;
      stats.waiting = line.waiting();
      for (const { in: i, out, long } of [...calls.values(), ...servings.values()]) {
        stats.waiting += (i?.waiting ?? 0) + (out?.waiting ?? 0) + (long?.have ?? 0);
      }
      return structuredClone(stats);
    },
  };
  core.line = lineOf();
  return core;
};
