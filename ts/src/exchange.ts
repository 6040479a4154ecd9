import { type CallError, failure, tooLong } from "./error.ts";
import { type Ends, type Inflow, ITEM_COST, Outflow, type Priority, type Shared } from "./stream.ts";
import { REQUEST, type Reader } from "./wire.ts";

/** From this length on a frame is no waste of time, whatever is in it. */
export const AMPLE = 1024;

/** What a call needs of its peer. */
export interface Host extends Shared {
  readonly limits: Limits;
  /** When the last message came. */
  now: number;
  /** Bytes of long answers that wait to be taken. */
  answering: number;
  /** Counts a frame in vain. */
  inVain(cost: number, what: string): void;
  /** Sees to it that the peer looks at its calls then, on the clock of performance.now. */
  wakeBy(time: number): void;
}

/** What is taken of the other side. */
export interface Limits {
  calls: number;
  streams: number;
  value: number;
  assembly: number;
}

/** A long value on its way in. Its buffer grows with what has come, never with what was announced. */
interface Assembly {
  kind: number;
  form: number;
  total: number;
  bytes: Uint8Array;
  have: number;
  seen: number;
  since: number;
}

/** What the two ends of a call have in common: streams in both directions, and the long value that is arriving. */
export abstract class Exchange implements Ends {
  readonly shared: Host;
  id = 0;
  abstract readonly own: boolean;
  priority: Priority = 0;
  in: Inflow | undefined;
  out: Outflow | undefined;
  long: Assembly | undefined;
  protected ended = false;

  constructor(host: Host) {
    this.shared = host;
  }

  /** Ends this call alone, because of something that cannot be taken. */
  abstract breakOff(error: CallError): void;
  abstract answered(failed: boolean): void;
  abstract left(error?: CallError): void;
  /** A long value is complete. */
  protected abstract whole(kind: number, form: number, bytes: Uint8Array): void;

  /** The outgoing flow, made when first needed. */
  flow(): Outflow {
    if (!this.out) {
      this.out = new Outflow(this, this.shared.line.remote.window);
      if (this.ended) this.out.finish();
    }
    return this.out;
  }

  /** Ends the streams and frees what was arriving. The error is what a stream's reader gets; without one it went well. */
  protected close(error?: CallError): void {
    this.ended = true;
    let late = 2; // a cancel that crossed the answer
    const { out } = this;
    if (this.in && !this.in.ended) late += Math.max(0, this.in.left / ITEM_COST);
    if (out) late += Math.max(0, out.items - out.credits);
    this.shared.line.patience.allow(late);
    this.in?.finish(error);
    out?.finish();
    this.dropLong();
  }

  dropLong(): void {
    if (this.long) this.shared.assembling -= this.long.total;
    this.long = undefined;
  }

  /** Takes the first bytes of a long value in. */
  beginLong(kind: number, form: number, r: Reader): void {
    if (this.long) throw new Error("a long value amid a long value");
    const total = r.u();
    const { shared } = this;
    const { value, assembly } = shared.limits;
    if (total > value || shared.assembling + total > assembly) {
      const why = total > value ? tooLong(total, value) : "too many long values at once";
      return this.breakOff(failure("resource_exhausted", kind === REQUEST ? "no" : "yes", why));
    }
    shared.assembling += total;
    const since = performance.now();
    this.long = { kind, form, total, bytes: new Uint8Array(Math.min(total, 16_384)), have: 0, seen: 0, since };
    shared.watchIdle();
    this.addLong(r);
  }

  /** Takes more of the long value in. */
  addLong(r: Reader): void {
    const a = this.long;
    if (!a) throw new Error("a part of no long value");
    const part = r.rest();
    const have = a.have + part.length;
    if (have > a.total) throw new Error("a long value runs past its length");
    if (have > a.bytes.length) {
      const grown = new Uint8Array(Math.min(a.total, Math.max(2 * a.bytes.length, have)));
      grown.set(a.bytes);
      a.bytes = grown;
    }
    a.bytes.set(part, a.have);
    a.have = have;
    if (have === a.total) {
      this.long = undefined; // it stays accounted until it is consumed
      this.whole(a.kind, a.form, a.bytes);
    } else if (part.length < AMPLE) this.shared.inVain(1, "a small part");
  }

  /** For how long less than a few bytes of the long value have come. A byte now and then is no progress. */
  stalled(now: number): number {
    const a = this.long;
    if (!a) return this.out?.stalled(now) ?? 0;
    const seen = Math.floor(a.have / AMPLE);
    if (seen > a.seen) {
      a.seen = seen;
      a.since = now;
    }
    return now - a.since;
  }
}
