import type { Core } from "./core.ts";
import { type CallError, failure, tooLong } from "./error.ts";
import { type Inflow, ITEM_COST, Outflow, type Priority } from "./stream.ts";
import { after } from "./time.ts";
import { ITEM, REQUEST, type Reader } from "./wire.ts";

/** The modes of a call: who streams. */
export const FEEDS = 1;
export const TAKES = 2;

/** From this length on a frame is no waste of time, whatever is in it. */
export const AMPLE = 1024;

export const AMID = "amid a long value";

/** A long value on its way in. Its buffer grows with what has come, never with what was announced. */
interface Assembly {
  kind: number;
  form: number;
  total: number;
  bytes: Uint8Array;
  have: number;
}

/** What the two ends of a call have in common: streams in both directions, and the long value that is arriving. */
export abstract class Exchange {
  readonly core: Core;
  id = 0;
  /** The bit of a frame that says that its sender is the caller. */
  abstract readonly own: number;
  priority: Priority = 0;
  in: Inflow | undefined;
  out: Outflow | undefined;
  long: Assembly | undefined;
  ended = false;
  /** Runs when the call's time is over. */
  protected timer: ReturnType<typeof setTimeout> | undefined;
  #idle: ReturnType<typeof setTimeout> | undefined;

  constructor(core: Core) {
    this.core = core;
  }

  /** Ends this call alone, if it is open, and tells the other side. */
  abstract giveUp(error: CallError): void;
  /** What was sent at once is here: a result, or the arguments. */
  abstract whole(form: number, bytes: Uint8Array): void;

  /** The outgoing flow, made when first needed. */
  flow(): Outflow {
    if (!this.out) {
      this.out = new Outflow(this, this.core.line.remote.window);
      if (this.ended) this.out.finish();
      this.watch();
    }
    return this.out;
  }

  /** Ends the streams and frees what was arriving. The error is what a stream's reader gets; without one it went well. */
  protected close(error?: CallError): void {
    this.ended = true;
    clearTimeout(this.timer);
    const { in: i, out, core } = this;
    // What may be on its way: a cancel that crossed the answer, empty items, credit.
    const items = i && !i.ended ? Math.max(0, i.left / ITEM_COST) : 0;
    const credits = out ? Math.max(0, out.items - out.credits) : 0;
    core.line.patience.allow(2 + items + credits);
    i?.finish(error);
    out?.finish();
    this.dropLong();
  }

  dropLong(): void {
    this.core.assembling -= this.long?.total ?? 0;
    this.long = undefined;
    this.watch();
  }

  /**
   * Gives the other side its time again for what it owes: the rest of a long value, credit for another item. A stream
   * may last for ever, but not while it stands still for that.
   */
  watch(): void {
    clearTimeout(this.#idle);
    if (this.ended || !(this.long || this.out?.starves())) return;
    this.#idle = after(this.core.idle, () => {
      const ran = this.own ? "maybe" : this.long?.kind === REQUEST ? "no" : "yes";
      this.giveUp(failure("deadline_exceeded", ran, "the other side stands still"));
    });
  }

  /** Takes the first bytes of a long value in. */
  beginLong(kind: number, form: number, r: Reader): void {
    if (this.long) throw new Error(AMID);
    const total = r.u();
    const { core } = this;
    const { value, assembly } = core.limits;
    if (total > value || core.assembling + total > assembly) {
      const why = total > value ? tooLong(total, value) : "too many long values";
      return this.giveUp(failure("resource_exhausted", kind === REQUEST ? "no" : "yes", why));
    }
    core.assembling += total;
    this.long = { kind, form, total, bytes: new Uint8Array(Math.min(total, 16_384)), have: 0 };
    this.watch();
    this.addLong(r);
  }

  /** Takes more of the long value in. */
  addLong(r: Reader): void {
    const a = this.long;
    if (!a) throw new Error("no long value");
    const part = r.take();
    const before = a.have;
    const have = before + part.length;
    if (have > a.total) throw new Error("past its length");
    if (have > a.bytes.length) {
      const grown = new Uint8Array(Math.min(a.total, 2 * have));
      grown.set(a.bytes);
      a.bytes = grown;
    }
    a.bytes.set(part, before);
    a.have = have;
    if (have === a.total) {
      this.long = undefined; // it stays accounted until it is consumed
      this.watch();
      if (a.kind === ITEM) this.in?.put(a.form, a.bytes, true);
      else this.whole(a.form, a.bytes);
    } else {
      if (part.length < AMPLE) this.core.inVain(1);
      // A byte now and then is no progress.
      if (Math.floor(have / AMPLE) > Math.floor(before / AMPLE)) this.watch();
    }
  }
}
