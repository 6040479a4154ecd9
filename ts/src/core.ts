import { type Call, type CallHost, type CallOptions, timeOver } from "./call.ts";
import type { Conn, Resumer } from "./conn.ts";
import { CallError, failure, restate, textOf } from "./error.ts";
import { type Feeding, feed } from "./feed.ts";
import { type Health, health } from "./health.ts";
import { writeHello } from "./hello.ts";
import { writeJSON } from "./json.ts";
import { newLine } from "./line.ts";
import type { Mux } from "./mux.ts";
import type { PeerOptions } from "./options.ts";
import type { Peer } from "./peer.ts";
import { eachFrame, receive } from "./receive.ts";
import type { ServeHost } from "./serve.ts";
import type { CallStats, Stats, Traffic } from "./stats.ts";
import type { Written } from "./value.ts";
import { BYE, GOAWAY, HELLO, MAX_MESSAGE, REQUEST, Writer } from "./wire.ts";

const EXPIRE_EVERY = 100; // ms: so often at most the open calls are searched for those whose time is over

/** What stands behind a Peer: its calls of both directions, and one connection after the other. */
export interface Core extends CallHost, ServeHost {
  health: Health;
  readonly mux: Mux | undefined;
  draining: boolean;
  late: number;
  vain: number;
  strikes: number;
  /** Begins on a connection. */
  attach(conn: Conn): void;
  /** Makes a call, or fails it at once. */
  start(call: Call, write: (plain: boolean) => Written, options?: CallOptions, feeding?: Feeding): void;
  /** Settles everything with the error, and closes the connection, after a last word if there is one. */
  end(lost: CallError, why?: CallError, bye?: object): void;
  /** The connection is lost: goes on with another, or ends. In order: what ends the peer is then no error. */
  lost(e: CallError, inOrder?: boolean): void;
  /** Takes no more calls, and ends when none is open. */
  drain(): void;
  stats(): Stats;
}

export const closedHere = (): CallError => failure("unavailable", "no", "closed at this end");

const noCalls = (): CallStats => ({ open: 0, started: 0, succeeded: 0, failed: 0 });
const nothing = (): Traffic => ({ bytes: 0, messages: 0 });
const wholeFrame = (kind: number, payload: string): Uint8Array => {
  const w = new Writer();
  w.frame(kind, 0, payload);
  return w.copy(0, w.at);
};

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
  const { redial, trace, onError } = options;
  const life = new AbortController();
  const sent = nothing();
  const received = nothing();
  let error: CallError | undefined;
  let over = false;
  let redials = 0;
  let sweepAt = Infinity;
  let tickAt = Infinity;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const lineOf = (): Core["line"] =>
    newLine(
      (message) => {
        sent.bytes += message.length;
        sent.messages++;
        if (trace) eachFrame(message, (f, p) => trace({ ...f, sent: true, payload: p.rest() }));
      },
      () => {
        core.wakeBy(core.health.next(core.line));
        checkDrained();
      },
    );

  const checkDrained = (): void => {
    const { line, calls, served, draining } = core;
    if (draining && !calls.size && !served.open && (!line.open || line.idle())) {
      core.end(closedHere(), undefined, { message: "closed" });
    }
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
    const { line } = core;
    core.line = lineOf();
    line.end();
    core.health = health(keepAlive);
    for (const call of core.calls.values()) call.enqueue(performance.now()); // a Map keeps their order
    dial(life.signal).then(
      (conn) => {
        if (over) return conn.close();
        redials++;
        core.attach(conn);
      },
      (why) => {
        const e = failure("unavailable", "maybe", "there is no other connection", why);
        core.end(e, e);
      },
    );
  };

  const message = (message: Uint8Array): void => {
    const { line } = core;
    received.bytes += message.length;
    received.messages++;
    core.health.heard();
    core.now = performance.now();
    line.patience.refill(core.now);
    try {
      if (!message.length) throw new Error("an empty message");
      if (message.length > MAX_MESSAGE) throw new Error("a message too long");
      eachFrame(message, (f, p) => {
        if (core.line !== line || over) return;
        trace?.({ ...f, sent: false, payload: p.bytes.subarray(p.at, p.end) });
        if (receive(core, f, p)) greeted();
      });
    } catch (bad) {
      core.report(new Error(`connection cut: ${textOf(bad)}`, { cause: bad }));
      const e = failure("unavailable", "maybe", "the other side broke the protocol", bad);
      core.end(e, e, { code: "invalid_argument", message: textOf(bad) });
    }
    line.kick();
  };

  /** Does what is due, and sees to it that what is next will be done. */
  const tick = (): void => {
    const now = performance.now();
    const { line, calls, servings } = core;
    tickAt = Infinity;
    const dead = core.health.dead(line, now);
    if (dead) {
      const why = new Error(dead.why);
      if (dead.age && (line.conn as Partial<Resumer> | undefined)?.renew?.(dead.age, why))
        core.health.renewed(line, now);
      else {
        core.report(why);
        core.lost(failure("unavailable", "maybe", "the connection was lost", why));
      }
    }
    if (over) return;
    let next = Infinity;
    const due = (x: { due: number }): boolean => {
      if (x.due > now) next = Math.min(next, x.due);
      return x.due > 0 && x.due <= now;
    };
    for (const call of calls.values()) {
      if (due(call)) call.giveUp(timeOver());
    }
    for (const s of servings.values()) {
      if (due(s)) s.stop(failure("deadline_exceeded", "yes", "the handler's time was over"));
    }
    if (now >= sweepAt) sweep(now);
    if (core.line.open) core.health.tick(core.line, now);
    core.wakeBy(Math.min(Math.max(next, now + EXPIRE_EVERY), core.health.next(core.line), sweepAt));
  };

  /** Ends what stood still for too long: a stream may last for ever, but not while the other side owes something. */
  const sweep = (now: number): void => {
    sweepAt = Infinity;
    for (const x of [...core.calls.values(), ...core.servings.values()]) {
      if (!x.long && !x.out) continue;
      if (x.stalled(now) < idle) core.watchIdle();
      else {
        const ran = x.own ? "maybe" : x.long?.kind === REQUEST ? "no" : "yes";
        x.breakOff(failure("deadline_exceeded", ran, "the other side stands still"));
      }
    }
  };

  const core: Core = {
    peer,
    mux,
    limits: { calls: maxCalls, streams: maxStreams, value: maxValue, assembly: maxAssembly },
    callTimeout,
    redials: redial !== undefined,
    calls: new Map(),
    servings: new Map(),
    made: noCalls(),
    served: noCalls(),
    health: health(keepAlive),
    line: undefined as never, // made below
    now: 0,
    roundTrip: 0,
    lastCall: 0,
    streams: 0,
    streaming: 0,
    assembling: 0,
    answering: 0,
    grown: 0,
    late: 0,
    vain: 0,
    strikes: 0,
    draining: false,
    settled: checkDrained,

    attach(conn): void {
      const { line } = core;
      line.conn = conn;
      conn.start({
        message: (m) => {
          if (core.line === line && !over) message(m);
        },
        closed: (why = new Error("closed without a word")) => {
          if (core.line === line) core.lost(failure("unavailable", "maybe", "the connection was lost", why));
        },
      });
      line.say(wholeFrame(HELLO, writeHello(agent, maxCalls, maxStreams, maxValue)));
      core.wakeBy(core.health.begin());
    },

    start(call, write, options = {}, feeding): void {
      let refused: CallError | undefined;
      try {
        refused = call.start(write(core.line.remote.plain), options);
      } catch (cause) {
        refused = failure("invalid_argument", "no", "the arguments cannot be sent", cause);
      }
      if (refused) return call.fail(refused);
      if (!feeding) return;
      feed(call, feeding.items, feeding.write).catch((e) =>
        call.giveUp(
          e instanceof CallError ? restate(e, "no") : new CallError("cancelled", textOf(e), undefined, "no", e),
        ),
      );
    },

    refusal: () =>
      error
        ? failure("unavailable", "no", "the connection is gone", error)
        : over || core.draining
          ? closedHere()
          : undefined,

    end(lost, why, bye): void {
      if (over) return;
      over = true;
      error = why;
      clearTimeout(timer);
      for (const call of core.calls.values()) call.settle(restate(lost, call.executed()));
      abandon();
      life.abort(lost);
      if (bye) core.line.say(wholeFrame(BYE, writeJSON(bye)));
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
      core.line.next().numbers(GOAWAY, 0, core.line.lastServed);
      checkDrained();
    },

    report(error, method): void {
      if (onError) onError(error, method);
      else console.error("chum:", method ?? "", error);
    },

    inVain(cost, what): void {
      core.vain++;
      core.line.patience.spend(cost, what);
    },

    wakeBy(time): void {
      if (time >= tickAt || over) return;
      tickAt = time;
      clearTimeout(timer);
      timer = setTimeout(tick, Math.max(0, time - performance.now()));
    },

    watchIdle(): void {
      if (sweepAt < Infinity) return;
      sweepAt = performance.now() + idle / 4;
      core.wakeBy(sweepAt);
    },

    stats(): Stats {
      const { calls, servings, made, served, late, strikes, vain, roundTrip } = core;
      let waiting = core.line.waiting();
      for (const { in: i, out, long } of [...calls.values(), ...servings.values()]) {
        waiting += (i?.waiting ?? 0) + (out?.waiting ?? 0) + (long?.have ?? 0);
      }
      return {
        out: { ...made, open: calls.size },
        in: { ...served },
        sent: { ...sent },
        received: { ...received },
        streams: core.streams + core.streaming,
        waiting,
        roundTrip,
        redials,
        late,
        strikes,
        inVain: vain,
      };
    },
  };
  core.line = lineOf();
  return core;
};
