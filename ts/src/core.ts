import type { Call, CallHost, CallOptions } from "./call.ts";
import type { Conn, Resumer } from "./conn.ts";
import { CallError, failure, readError, restate, textOf, writeError } from "./error.ts";
import { AMPLE, type Exchange, type Limits } from "./exchange.ts";
import { feed, type Items } from "./feed.ts";
import { Health } from "./health.ts";
import { type Hello, readHello, usual, writeHello } from "./hello.ts";
import { decodeText, parseJSON, writeJSON } from "./json.ts";
import { Patience } from "./limit.ts";
import { Line } from "./line.ts";
import { KEY, PRIORITY, REPEAT, readMetadata } from "./metadata.ts";
import type { Mux, Service } from "./mux.ts";
import type { PeerOptions } from "./options.ts";
import type { Peer } from "./peer.ts";
import { type ServeHost, Serving } from "./serve.ts";
import type { CallStats, Stats, Traffic } from "./stats.ts";
import { FIRST_WINDOW, ITEM_COST, type Priority } from "./stream.ts";
import type { Written } from "./value.ts";
import * as wire from "./wire.ts";

/** What feeds a call: items, and how they are written. */
export interface Feeding {
  readonly items: Items<unknown>;
  readonly write: (value: unknown, plain: boolean) => Written;
}

const EXPIRE_EVERY = 100; // ms: so often at most the open calls are searched for those whose time is over
const YOUNG = 10; // ms: a call that is cancelled sooner was in vain
const YEAR = 365 * 24 * 3_600_000; // ms
const MAX_STRIKES = 8;
const OWED = 1024 * 1024; // bytes of answers that may wait for a side that does not read,
const OWED_A_CALL = 8192; // and for each call that it may have open

const noCalls = (): CallStats => ({ open: 0, started: 0, succeeded: 0, failed: 0 });
const text = (r: wire.Reader): string => decodeText(r.bytes, r.at, r.end);

export const closedHere = (): CallError => failure("unavailable", "no", "the connection was closed at this end");

/** What stands behind a Peer: its calls of both directions, its connection, and what is known of the other side. */
export class Core implements CallHost, ServeHost {
  readonly peer: Peer;
  readonly mux: Mux;
  readonly limits: Limits;
  readonly callTimeout: number;
  readonly redials: boolean;
  readonly calls: Map<number, Call> = new Map<number, Call>();
  readonly servings: Map<number, Serving> = new Map<number, Serving>();
  readonly made: CallStats = noCalls();
  readonly served: CallStats = noCalls();
  remote: Hello = usual;
  patience: Patience = new Patience();
  line: Line;
  lastCall = 0;
  streams = 0;
  streaming = 0;
  assembling = 0;
  answering = 0;
  grown = 0;
  goneAway = false;

  greeted: () => void = () => {};
  ungreeted: (error: CallError) => void = () => {};
  gone: () => void = () => {};

  private readonly options: PeerOptions;
  private readonly idle: number;
  private readonly health: Health;
  private readonly life = new AbortController();
  private readonly sent: Traffic = { bytes: 0, messages: 0 };
  private readonly received: Traffic = { bytes: 0, messages: 0 };
  private lastServed = 0;
  private said = false; // the other side's hello is here
  private draining = false;
  private over = false;
  private late = 0;
  private vain = 0;
  private strikes = 0; // of this connection
  private allStrikes = 0;
  private redialed = 0;
  private now = performance.now(); // when the last message came
  private sweepAt = Infinity;
  private tickAt = Infinity;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(peer: Peer, mux: Mux, options: PeerOptions) {
    const { maxCalls = 1024, maxStreams = 256, maxValue = 8 * 2 ** 20, maxAssembly = 64 * 2 ** 20 } = options;
    const { callTimeout = 30_000, keepAlive = 15_000, idle = 300_000, redial } = options;
    this.peer = peer;
    this.mux = mux;
    this.options = options;
    this.limits = { calls: maxCalls, streams: maxStreams, value: maxValue, assembly: maxAssembly };
    this.callTimeout = callTimeout;
    this.redials = redial !== undefined;
    this.idle = idle;
    this.health = new Health(keepAlive);
    this.line = this.newLine();
  }

  get roundTrip(): number {
    return this.health.roundTrip;
  }

  // The connection: its beginning and its end.

  private newLine(): Line {
    const { trace } = this.options;
    return new Line(
      (message) => {
        this.sent.bytes += message.length;
        this.sent.messages++;
        if (trace) this.each(new wire.Reader(message), true, () => {});
      },
      () => {
        this.wakeBy(this.health.next(this.line));
        this.checkDrained();
      },
    );
  }

  attach(conn: Conn): void {
    const { line, limits, options } = this;
    const hello = new wire.Writer();
    hello.frame(wire.HELLO, 0, writeHello(options.agent ?? "chum-ts", limits.calls, limits.streams, limits.value));
    conn.start({
      message: (message) => {
        if (this.line === line && !this.over) this.message(message);
      },
      closed: (why = new Error("it was closed by the other side without a word")) => {
        if (this.line === line) this.lost(why);
      },
    });
    line.attach(conn, hello.copy(0, hello.at));
    this.health.begin(performance.now());
    this.wakeBy(this.health.next(line));
  }

  /** The connection broke, or was closed by the other side without a word. */
  private lost(why: unknown): void {
    const e = failure("unavailable", "maybe", "the connection was lost", why);
    if (!this.interrupt(e)) this.end(e, e);
  }

  /** The other side broke the protocol. */
  private misbehaved(bad: unknown): void {
    this.report(new Error(`connection cut: ${textOf(bad)}`, { cause: bad }));
    const e = failure("unavailable", "maybe", "the other side broke the protocol", bad);
    this.end(e, e, { code: "invalid_argument", message: textOf(bad) });
  }

  /** Settles everything with the error, and closes the connection, after a last word if there is one. */
  end(lost: CallError, why?: CallError, bye?: object): void {
    if (this.over) return;
    this.over = true;
    this.peer.error = why;
    clearTimeout(this.timer);
    for (const call of this.calls.values()) call.settle(restate(lost, call.executed()));
    for (const s of this.servings.values()) s.abandon(failure("cancelled", "yes", "the connection is gone"));
    this.life.abort(lost);
    const word = new wire.Writer();
    if (bye) word.frame(wire.BYE, 0, writeJSON(bye));
    this.line.end(bye && word.copy(0, word.at));
    this.ungreeted(lost);
    this.gone();
  }

  /**
   * The connection is lost, but there may be another: settles what cannot go on over that, and queues
   * the rest for it. False says that the peer has to end.
   */
  private interrupt(lost: CallError): boolean {
    const { redial } = this.options;
    if (this.over) return true;
    if (!redial || this.draining) return false;
    const { line } = this;
    for (const call of this.calls.values()) {
      const ran = call.executed();
      if (call.mode || (!call.repeat && ran !== "no")) call.settle(restate(lost, ran));
      else {
        call.sent = ran === "maybe";
        call.hold();
      }
    }
    for (const s of this.servings.values()) s.abandon(failure("cancelled", "yes", "the connection is gone"));
    this.line = this.newLine();
    line.end();
    this.remote = usual;
    this.said = this.goneAway = false;
    this.lastServed = this.strikes = 0;
    this.patience = new Patience();
    this.health.begin(Infinity);
    for (const call of this.calls.values()) call.enqueue(performance.now()); // a Map keeps their order
    redial(this.life.signal).then(
      (conn) => {
        if (this.over) return conn.close();
        this.redialed++;
        this.attach(conn);
      },
      (why) => {
        const e = failure("unavailable", "maybe", "the connection was lost, and there is no other", why);
        this.end(e, e);
      },
    );
    return true;
  }

  drain(): void {
    if (this.draining || this.over) return;
    this.draining = true;
    const to = this.line.next();
    to.wrap(wire.GOAWAY, 0, () => to.u(this.lastServed), 1);
    this.checkDrained();
  }

  private checkDrained(): void {
    if (!this.draining || this.calls.size || this.served.open || (this.said && !this.line.idle)) return;
    this.end(closedHere(), undefined, { message: "closed" });
  }

  // Calls that are made.

  start(call: Call, write: (plain: boolean) => Written, options: CallOptions = {}, feeding?: Feeding): void {
    let refused: CallError | undefined;
    try {
      refused = call.start(write(this.remote.plain), options);
    } catch (cause) {
      refused = failure("invalid_argument", "no", "the arguments cannot be sent", cause);
    }
    if (refused) return call.fail(refused);
    if (feeding) {
      feed(call, feeding.items, feeding.write).catch((cause) =>
        call.giveUp(
          cause instanceof CallError
            ? restate(cause, "no")
            : new CallError("cancelled", textOf(cause), undefined, "no", cause),
        ),
      );
    }
  }

  refusal(): CallError | undefined {
    const { error } = this.peer;
    if (error) return failure("unavailable", "no", "not sent: the connection is gone", error);
    return this.over || this.draining ? closedHere() : undefined;
  }

  settled(): void {
    this.checkDrained();
  }

  report(error: unknown, method?: string): void {
    const { onError } = this.options;
    if (onError) onError(error, method);
    else console.error("chum:", ...(method === undefined ? [] : [method]), error);
  }

  // Messages that come.

  private message(message: Uint8Array): void {
    const r = new wire.Reader(message);
    this.received.bytes += message.length;
    this.received.messages++;
    this.health.heard();
    this.now = performance.now();
    this.patience.refill(this.now);
    const { line } = this;
    try {
      if (!message.length) throw new Error("an empty message");
      if (message.length > wire.MAX_MESSAGE) throw new Error(`a message of ${message.length} bytes`);
      this.each(r, false, (f, payload) => {
        if (this.line === line && !this.over) this.frame(f, payload);
      });
    } catch (bad) {
      this.misbehaved(bad);
    }
    this.line.kick();
  }

  private each(r: wire.Reader, sent: boolean, take: (f: wire.Frame, payload: wire.Reader) => void): void {
    const { trace } = this.options;
    const f: wire.Frame = { kind: 0, form: 0, own: false, long: false, id: 0 };
    const payload = new wire.Reader(r.bytes);
    while (r.at < r.end) {
      r.next(f, payload);
      trace?.({ ...f, sent, payload: r.bytes.subarray(payload.at, payload.end) });
      take(f, payload);
    }
  }

  private frame(f: wire.Frame, p: wire.Reader): void {
    const { line, health } = this;
    const { kind } = f;
    if (kind === wire.BYE) return this.farewell(text(p));
    if (!this.said) return this.greet(f, p);
    if (line.owed > OWED + this.limits.calls * OWED_A_CALL) {
      throw new Error(`${line.owed} bytes of answers wait for it and it takes none`);
    }
    if (f.long || kind === wire.ITEM || kind === wire.PART) line.received += p.end - p.at;
    switch (kind) {
      case wire.REQUEST:
        return this.request(f, p);
      case wire.MARK:
        if (!line.marked()) this.inVain(1, "a mark with no bulk before it");
        return;
      case wire.ACK:
        return this.acknowledged(p);
      case wire.PING:
        if (p.end - p.at > 8) throw new Error(`a ping of ${p.end - p.at} bytes; 8 are allowed`);
        line.owe(wire.PONG, 0, p.rest());
        return this.inVain(1, "a ping");
      case wire.PONG:
        health.pong(p.rest());
        return this.inVain(1, "a pong");
      case wire.GOAWAY:
        return this.otherLeaves(p.only());
      case wire.HELLO:
        throw new Error("a second hello");
    }
    const call = f.own ? undefined : this.calls.get(f.id);
    const serving = f.own ? this.servings.get(f.id) : undefined;
    const x = call ?? serving;
    if (!x) return this.stray(f, p);
    if (kind === wire.CANCEL) return this.cancelled(serving as Serving);
    if (call && (kind === wire.RESULT || kind === wire.ERROR)) this.reply(call, f, p);
    else this.step(x, f, p);
  }

  private greet(f: wire.Frame, p: wire.Reader): void {
    if (f.kind !== wire.HELLO)
      throw new Error(`the first frame is of kind ${f.kind}, not a hello: does the other side speak this protocol?`);
    this.remote = readHello(text(p));
    this.said = true;
    for (const { out } of this.calls.values()) out?.addCredit(this.remote.window);
    this.health.ping(this.line, performance.now());
    this.line.begin();
    this.greeted();
  }

  /** Takes the other side's last word in. */
  private farewell(word: string): void {
    const body = parseJSON(word) as { code?: unknown };
    const e = body.code
      ? failure("unavailable", "maybe", `the other side cut the connection: ${readError(word).message}`)
      : failure("unavailable", "maybe", "the other side closed the connection");
    // It may close what it left in favour of others, or of its successor.
    if (body.code || !this.goneAway || !this.interrupt(e)) this.end(e, body.code ? e : undefined);
  }

  /** Takes a frame in for a call that is not open. */
  private stray(f: wire.Frame, p: wire.Reader): void {
    if (f.id > (f.own ? this.lastServed : this.lastCall))
      return this.strike(`kind ${f.kind} for call ${f.id}, which was never made`);
    this.late++;
    if (p.end - p.at < AMPLE && !this.patience.wasAllowed()) this.inVain(1, "a frame for a call that had ended");
  }

  private strike(what: string): void {
    this.allStrikes++;
    if (++this.strikes >= MAX_STRIKES) throw new Error(`${MAX_STRIKES} frames made no sense; the last: ${what}`);
  }

  inVain(cost: number, what: string): void {
    this.vain++;
    this.patience.spend(cost, what);
  }

  private otherLeaves(last: number): void {
    if (this.goneAway) return this.strike("a second goaway");
    this.goneAway = true;
    for (const call of this.calls.values()) {
      if (call.id <= last) continue;
      if (this.redials && !call.mode) call.hold();
      else call.settle(failure("unavailable", "no", "not executed: the other side is shutting down"));
    }
  }

  private acknowledged(p: wire.Reader): void {
    const { line } = this;
    const { window } = line;
    const n = p.u();
    const came = p.only();
    if (came > 2 ** 53) throw new Error("malformed ack");
    if (n > window.sent || n < window.acked) {
      throw new Error(`it acknowledged ${n} bytes; ${window.sent} were sent, ${window.acked} acknowledged before`);
    }
    window.ack(n, came / 1000, this.now);
    if (++line.acks > line.marks) this.inVain(1, "an ack that nobody asked for");
  }

  /** Takes the answer to one of our calls in. */
  private reply(call: Call, f: wire.Frame, p: wire.Reader): void {
    if (call.held)
      this.late++; // refused by a side that leaves: another will be asked
    else if (f.kind === wire.ERROR) {
      let e: CallError;
      try {
        e = readError(text(p));
      } catch (cause) {
        e = failure("data_loss", "yes", "the other side failed, and its error could not be read", cause);
      }
      call.settle(e);
    } else if (f.long) call.beginLong(f.kind, f.form, p);
    else if (call.long) throw new Error(`call ${f.id}: a result amid a long value`);
    else call.result(f.form, p);
  }

  /** Takes a frame within an open call in. */
  private step(x: Exchange, f: wire.Frame, p: wire.Reader): void {
    const bad = (what: string): Error => new Error(`call ${f.id}: ${what}`);
    switch (f.kind) {
      case wire.CREDIT: {
        const out = x.flow();
        if (++out.credits > out.items) this.inVain(1, "credit that nothing was sent for");
        return out.addCredit(p.only());
      }
      case wire.PART:
        return x.addLong(p);
      case wire.END:
        if (!x.in || x.long) throw bad("a misplaced end of a stream");
        return x.in.end(p.only());
      default:
        if (!x.in) throw bad("an item where there is no stream");
        if (x.long) throw bad("an item amid a long value");
        x.in.begin();
        if (f.long) x.beginLong(f.kind, f.form, p);
        else x.in.put(f.form, p.rest().slice(), false);
    }
  }

  // Calls that are served.

  /** Takes a call of the other side in. */
  private request(f: wire.Frame, p: wire.Reader): void {
    const { id } = f;
    if (id <= this.lastServed) throw new Error(`request ${id} comes after request ${this.lastServed}: ids count up`);
    this.lastServed = id;
    const mode = p.u();
    const left = p.u();
    const metadata = readMetadata(p.take(p.u()));
    const length = p.u();
    if (mode > 3) throw new Error(`request ${id}: unknown mode ${mode}`);
    if (length > 128) throw new Error(`request ${id}: a method name of ${length} bytes; 128 are allowed`);
    const end = p.at + length;
    p.take(length);
    this.served.started++;
    let service: Service | undefined;
    try {
      service = this.mux.find(decodeText(p.bytes, end - length, end));
    } catch {
      // a name that is not UTF-8 is one that is not there
    }
    const refused = this.refuse(service, mode, metadata);
    if (refused || !service) {
      this.served.failed++;
      this.line.owe(wire.ERROR, id, writeError(refused as CallError));
      if (mode) this.patience.allow(FIRST_WINDOW / ITEM_COST);
      return this.inVain(mode ? 2 : 1, "a call that was refused");
    }
    const s = new Serving(this, id, service, metadata);
    s.priority = Math.sign(Number(metadata.get(PRIORITY) ?? 0) || 0) as Priority;
    if (left > 0 && left < YEAR) {
      s.due = this.now + left;
      this.wakeBy(s.due);
    }
    if (!f.long) return s.begin(f.form, p.rest().slice());
    s.beginLong(f.kind, f.form, p);
    if (!s.open) this.inVain(mode ? 2 : 1, "a call that was refused");
  }

  /** Says why a call is not taken, if it is not. */
  private refuse(
    service: Service | undefined,
    mode: number,
    metadata: ReadonlyMap<string, string>,
  ): CallError | undefined {
    const { calls, streams } = this.limits;
    const key = metadata.get(KEY);
    if (this.draining) return failure("unavailable", "no", "this side is shutting down");
    if (!service) return failure("unimplemented", "no", "no such method here");
    if (service.mode !== mode) return failure("invalid_argument", "no", `${service.name} is called in another mode`);
    if (
      (metadata.has(REPEAT) && !service.pure) ||
      (key !== undefined && (!service.keyed || key.length < 16 || key.length > 128))
    ) {
      return failure(
        "failed_precondition",
        "no",
        `${service.name} is not declared pure or keyed here, as the caller takes it to be`,
      );
    }
    if (this.served.open >= calls)
      return failure("resource_exhausted", "no", `${calls} calls are open, no more are taken at once`);
    if (mode && this.streaming >= streams) {
      return failure("resource_exhausted", "no", `${streams} streams are open, no more are taken at once`);
    }
    return undefined;
  }

  /** The other side no longer wants one of its calls. */
  private cancelled(s: Serving): void {
    const young = this.now - s.began < YOUNG;
    if (!s.cancel() && young) this.inVain(1, "a cancel right behind its call");
  }

  // Time.

  wakeBy(time: number): void {
    if (time >= this.tickAt || this.over) return;
    this.tickAt = time;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.tick(), Math.max(0, time - performance.now()));
  }

  /** Does what is due, and sees to it that what is next will be done. */
  private tick(): void {
    const { line, health } = this;
    const now = performance.now();
    this.tickAt = Infinity;
    const dead = health.dead(line, now);
    if (dead) {
      const why = new Error(dead.why);
      if (dead.age && (line.beneath as Partial<Resumer> | undefined)?.renew?.(dead.age, why)) health.renewed(line, now);
      else {
        this.report(why);
        this.lost(why);
      }
    }
    if (this.over) return;
    let next = Infinity;
    const due = (x: { due: number }): boolean => {
      if (x.due > now) next = Math.min(next, x.due);
      return x.due > 0 && x.due <= now;
    };
    for (const call of this.calls.values()) {
      if (due(call)) call.giveUp(failure("deadline_exceeded", "no", "the call's time is over"));
    }
    for (const s of this.servings.values()) {
      if (due(s)) s.stop(failure("deadline_exceeded", "yes", "the handler's time was over"));
    }
    if (now >= this.sweepAt) this.sweep(now);
    if (this.said) health.tick(this.line, now);
    this.wakeBy(Math.min(Math.max(next, now + EXPIRE_EVERY), health.next(this.line), this.sweepAt));
  }

  watchIdle(): void {
    if (this.sweepAt < Infinity) return;
    this.sweepAt = performance.now() + this.idle / 4;
    this.wakeBy(this.sweepAt);
  }

  /** Ends what stood still for too long: a stream may last for ever, but not while the other side owes something. */
  private sweep(now: number): void {
    this.sweepAt = Infinity;
    for (const x of [...this.calls.values(), ...this.servings.values()]) {
      if (!x.long && !x.out) continue;
      if (x.stalled(now) < this.idle) this.watchIdle();
      else {
        const ran = x.own ? "maybe" : x.long?.kind === wire.REQUEST ? "no" : "yes";
        x.breakOff(failure("deadline_exceeded", ran, `the other side stood still for ${this.idle / 1000} s`));
      }
    }
  }

  stats(): Stats {
    const { made, served, calls } = this;
    let waiting = this.line.waiting;
    for (const { in: i, out, long } of [...calls.values(), ...this.servings.values()]) {
      waiting += (i?.waiting ?? 0) + (out?.waiting ?? 0) + (long?.have ?? 0);
    }
    return {
      out: { ...made, open: calls.size },
      in: { ...served },
      sent: { ...this.sent },
      received: { ...this.received },
      streams: this.streams + this.streaming,
      waiting,
      roundTrip: this.roundTrip,
      redials: this.redialed,
      late: this.late,
      strikes: this.allStrikes,
      inVain: this.vain,
    };
  }
}
