/** What a peer does with the frames that come. Nothing in them is believed. */
import { type Call, leaving } from "./call.ts";
import type { Core } from "./core.ts";
import { CallError, failure, readError, textOf, writeError } from "./error.ts";
import { AMID, AMPLE, type Exchange } from "./exchange.ts";
import { readHello } from "./hello.ts";
import { decodeText, parseJSON } from "./json.ts";
import { readMetadata } from "./metadata.ts";
import { FIRST_WINDOW, ITEM_COST } from "./stream.ts";
import * as wire from "./wire.ts";

const YOUNG = 10; // ms: a call that is cancelled sooner was in vain
const MAX_STRIKES = 8;
const OWED = 1024 * 1024; // bytes of answers that may wait for a side that does not read,
const OWED_A_CALL = 8192; // and for each call that it may have open

/**
 * Takes a message apart. Both arguments of take are used again for the next frame. It throws an Error that says which
 * frame was wrong, and why.
 */
export const eachFrame = (message: Uint8Array, take: (f: wire.Frame, payload: wire.Reader) => void): void => {
  const f: wire.Frame = { kind: 0, form: 0, own: false, long: false, id: 0 };
  const payload = new wire.Reader(message);
  const r = new wire.Reader(message);
  try {
    while (r.left) {
      r.next(f, payload);
      take(f, payload);
    }
  } catch (cause) {
    throw new Error(`frame of kind ${f.kind}, call ${f.id}: ${textOf(cause)}`, { cause });
  }
};

/** Takes a frame in. It throws if the other side broke the protocol. */
export const receive = (core: Core, f: wire.Frame, p: wire.Reader): void => {
  const { line } = core;
  const { kind } = f;
  if (kind === wire.BYE) farewell(core, p.take());
  else if (!line.open) {
    if (kind !== wire.HELLO) throw new Error("no hello");
    line.remote = readHello(p.take());
    line.open = true;
    for (const { out } of core.calls.values()) out?.addCredit(line.remote.window);
    core.greeted();
  } else {
    if (line.owed > OWED + core.limits.calls * OWED_A_CALL) throw new Error("it takes no answers");
    if (f.long || kind === wire.ITEM || kind === wire.PART) line.received += p.left;
    if (f.id) ofCall(core, f, p);
    else ofConnection(core, kind, p);
  }
};

/** Takes the other side's last word in. */
const farewell = (core: Core, word: Uint8Array): void => {
  const { code } = parseJSON(decodeText(word)) as { code?: unknown };
  const why = code ? `cut by the other side: ${readError(word).message}` : "closed by the other side";
  const e = failure("unavailable", "maybe", why);
  if (code) core.end(e, e);
  else if (core.line.goneAway)
    core.lost(e, true); // it left in favour of others, or of its successor
  else core.end(e);
};

const ofConnection = (core: Core, kind: number, p: wire.Reader): void => {
  const { line } = core;
  const { window } = line;
  let vain = true;
  if (kind === wire.MARK) vain = !line.marked();
  else if (kind === wire.ACK) {
    const n = p.u();
    const came = p.only();
    if (came > 2 ** 53 || n > window.sent || n < window.acked) throw new Error("out of bounds");
    const more = n > window.acked;
    window.ack(n, came / 1000, core.now);
    if (!window.awaits()) line.due.delete("ack");
    else if (more) line.expect("ack");
    vain = --line.marks < 0;
  } else if (kind === wire.PING) {
    if (p.left > 8) throw new Error("too long");
    line.owe(wire.PONG, 0, p.take());
  } else if (kind === wire.PONG) core.pong(p);
  else if (kind === wire.GOAWAY) {
    leaves(core, p.only());
    vain = false;
  } else throw new Error("a second one");
  if (vain) core.inVain(1);
};

/** The other side takes no more calls, and none above the last. */
const leaves = (core: Core, last: number): void => {
  if (core.line.goneAway) return strike(core);
  core.line.goneAway = true;
  for (const call of core.calls.values()) {
    if (call.id <= last) continue;
    if (core.redials && !call.mode) call.hold(call.sent);
    else call.settle(leaving());
  }
};

/** Counts what makes no sense. */
const strike = (core: Core): void => {
  core.stats.strikes++;
  if (++core.line.strikes >= MAX_STRIKES) throw new Error(`${MAX_STRIKES} frames made no sense`);
};

const ofCall = (core: Core, f: wire.Frame, p: wire.Reader): void => {
  const { kind, id, own } = f;
  if (kind === wire.REQUEST) return request(core, f, p);
  const call = own ? undefined : core.calls.get(id);
  const serving = own ? core.servings.get(id) : undefined;
  const x: Exchange | undefined = call ?? serving;
  if (call && (kind === wire.RESULT || kind === wire.ERROR)) reply(core, call, f, p);
  else if (serving && kind === wire.CANCEL) {
    const young = core.now - serving.began < YOUNG;
    if (!serving.cancel() && young) core.inVain(1);
  } else if (x) step(core, x, f, p);
  else if (id > (own ? core.line.lastServed : core.lastCall)) strike(core);
  else {
    core.stats.late++;
    if (p.left < AMPLE && !core.line.patience.wasAllowed()) core.inVain(1);
  }
};

/** Takes the answer to one of our calls in. */
const reply = (core: Core, call: Call, f: wire.Frame, p: wire.Reader): void => {
  if (call.held)
    core.stats.late++; // refused by a side that leaves: another will be asked
  else if (f.kind === wire.ERROR) call.settle(readError(p.take()));
  else if (f.long) call.beginLong(f.kind, f.form, p);
  else if (call.long) throw new Error(AMID);
  else call.result(f.form, p);
};

/** Takes a frame within an open call in. */
const step = (core: Core, x: Exchange, { kind, form, long }: wire.Frame, p: wire.Reader): void => {
  if (kind === wire.CREDIT) {
    const out = x.flow();
    if (++out.credits > out.items) core.inVain(1);
    out.addCredit(p.only());
  } else if (kind === wire.PART) x.addLong(p);
  else if (!x.in || x.long) throw new Error(x.in ? AMID : "no stream");
  else if (kind === wire.END) x.in.end(p.only());
  else {
    x.in.begin();
    if (long) x.beginLong(kind, form, p);
    else x.in.put(form, p.take().slice(), false);
  }
};

/** Takes a call of the other side in. */
const request = (core: Core, { id, kind, form, long }: wire.Frame, p: wire.Reader): void => {
  const { line, mux } = core;
  if (id <= line.lastServed) throw new Error(`after ${line.lastServed}`);
  line.lastServed = id;
  const mode = p.u();
  const left = p.u();
  const metadata = readMetadata(p.take(p.u()));
  const method = p.take(p.u());
  if (mode > 3 || method.length > 128) throw new Error("bad mode or name");
  core.stats.in.started++;
  const taken = mux
    ? mux.serve(core, { id, mode, left, metadata, method })
    : failure("unimplemented", "no", "no methods here");
  if (taken instanceof CallError) {
    core.stats.in.failed++;
    line.owe(wire.ERROR, id, writeError(taken));
    if (mode) line.patience.allow(FIRST_WINDOW / ITEM_COST);
  } else if (long) taken.beginLong(kind, form, p);
  else taken.begin(form, p.take().slice());
  if (taken instanceof CallError || taken.ended) core.inVain(mode ? 2 : 1);
};
